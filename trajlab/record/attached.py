"""A probe at work in a recorder."""

from trajlab.measure import guard
from trajlab.record.probes.probe import Moment, Probe
from trajlab.record.rows import Rows
from trajlab.store import Writer


class Attached:
    """Lets one probe measure when it is due, and declares its table the first time.

    Parameters
    ----------
    probe : Probe
        What measures.
    writer : Writer
        Where its table is declared.
    rows : Rows
        Where its rows go.
    """

    def __init__(self, probe: Probe, writer: Writer, rows: Rows) -> None:
        self.probe = probe
        self._writer = writer
        self._rows = rows
        self._table: str | None = None
        self._boundary = -1  # the epoch boundary that it measured last

    def measure_if_due(self, moment: Moment, boundary: int) -> None:
        """Measure under guard, if the schedule says so.

        Parameters
        ----------
        moment : Moment
            What to measure from.
        boundary : int
            Epoch boundaries so far.
        """
        if self.probe.schedule.due(moment.step, boundary != self._boundary):
            self._boundary = boundary
            with guard(moment.model):
                self.measure(moment)

    def measure(self, moment: Moment) -> None:
        """Measure, and pass the row on."""
        row = self.probe.measure(moment)
        if self._table is None:
            table = self.probe.table(moment)
            self._writer.declare(table)
            self._table = table.name
        self._rows.append(self._table, {"step": moment.step, **row})
