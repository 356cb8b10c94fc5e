"""A probe at work in a recorder."""

from collections.abc import Mapping

from torch import Tensor

from trajlab.measure import guard
from trajlab.record.moment import Moment
from trajlab.record.probes.probe import Probe, Row, Started
from trajlab.record.rows import Rows


class Attached:
    """Lets one probe measure when it is due, and declares its table the first time.

    Parameters
    ----------
    probe : Probe
        What measures.
    rows : Rows
        Where its table is declared, and its rows go.
    """

    def __init__(self, probe: Probe, rows: Rows) -> None:
        self.probe = probe
        self._rows = rows
        self._table: str | None = None
        self._adding: Moment | None = None  # the first pass of an update that is measured
        self._boundary = -1  # the epoch boundary that it measured last

    def due(self, step: int, boundary: int) -> bool:
        """Say whether the schedule asks for a measurement.

        Parameters
        ----------
        step : int
            Optimizer updates completed.
        boundary : int
            Epoch boundaries so far.
        """
        return self.probe.schedule.due(step, boundary != self._boundary)

    def measure_if_due(self, moment: Moment, boundary: int) -> None:
        """Measure under guard and pass the row on, if the schedule says so."""
        if self.due(moment.step, boundary):
            self._boundary = boundary
            with guard(moment.model):
                row = self.probe.measure(moment)
            self._append(moment, row)

    def start_if_due(self, moment: Moment, boundary: int) -> Started | None:
        """Do what comes before the training backward, if the schedule says so."""
        if not self.due(moment.step, boundary):
            return None
        self._boundary = boundary
        return self.probe.start(moment)

    def add_if_due(self, moment: Moment, boundary: int) -> None:
        """Do the same for one of the passes that make an update; the first one's rule counts."""
        if moment.first:
            self._adding = moment if self.due(moment.step, boundary) else None
            self._boundary = boundary
        if self._adding is not None:
            with guard(moment.model):
                self.probe.add(moment)

    def complete(self, update: Mapping[str, Tensor]) -> None:
        """Pass on the row of the update whose passes were added, if there is one."""
        if self._adding is not None:
            moment, self._adding = self._adding, None
            self._append(moment, self.probe.complete(moment, update))

    def finish(self, moment: Moment, started: Started) -> None:
        """Pass on the row that the training backward has completed."""
        self._append(moment, started.row())

    def measure(self, moment: Moment) -> Row:
        """Measure without guard, pass the row on, and return it."""
        return self._append(moment, self.probe.measure(moment))

    def _append(self, moment: Moment, row: Row) -> Row:
        if self._table is None:
            table = self.probe.table(moment)
            self._rows.declare(table)
            self._table = table.name
        row = {"step": moment.step, **row}
        self._rows.append(self._table, row)
        return row
