"""A probe at work in a recorder."""

from trajlab.measure import guard
from trajlab.record.probes.probe import Moment, Probe, Row, Started
from trajlab.record.rows import Rows
from trajlab.store import NullWriter, Writer


class Attached:
    """Lets one probe measure when it is due, and declares its table the first time.

    Parameters
    ----------
    probe : Probe
        What measures.
    writer : Writer or NullWriter
        Where its table is declared.
    rows : Rows
        Where its rows go.
    """

    def __init__(self, probe: Probe, writer: Writer | NullWriter, rows: Rows) -> None:
        self.probe = probe
        self._writer = writer
        self._rows = rows
        self._table: str | None = None
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
        """Do under guard what comes before the training backward, if the schedule says so."""
        if not self.due(moment.step, boundary):
            return None
        self._boundary = boundary
        with guard(moment.model):
            return self.probe.start(moment)

    def finish(self, moment: Moment, started: Started) -> None:
        """Pass on the row that the training backward has completed."""
        self._append(moment, started.row())

    def measure(self, moment: Moment) -> None:
        """Measure without guard, and pass the row on."""
        self._append(moment, self.probe.measure(moment))

    def _append(self, moment: Moment, row: Row) -> None:
        if self._table is None:
            table = self.probe.table(moment)
            self._writer.declare(table)
            self._table = table.name
        self._rows.append(self._table, {"step": moment.step, **row})
