"""A probe at work in a recorder."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace

from torch import Tensor

from trajlab.measure import guard
from trajlab.record.budget import Account
from trajlab.record.failures import Failures
from trajlab.record.moment import Moment
from trajlab.record.placing import placed
from trajlab.record.probes.probe import Probe, Row, Started
from trajlab.record.rows import Rows
from trajlab.store import Column, Table

_REASON = Column("reason", dtype="str", description="why the numbers are missing")


class Attached:
    """Lets one probe measure when it is due, and declares its table the first time.

    What it cannot measure is a row with the reason; training goes on.

    Parameters
    ----------
    probe : Probe
        What measures.
    rows : Rows
        Where its table is declared, and its rows go.
    failures : Failures
        What is told of a measurement that fails.
    account : Account, optional
        What it may spend; without one, it measures whenever its schedule says so.
    """

    def __init__(
        self, probe: Probe, rows: Rows, failures: Failures, account: Account | None = None
    ) -> None:
        self.probe = probe
        self.account = account
        self._rows = rows
        self._failures = failures
        self._table: Table | None = None  # as the probe declares it
        self._stored: Table | None = None  # as the file holds it, with all layers there ever were
        self._shared: object = None
        self._adding: Moment | None = None  # the first pass of an update that is measured
        self._error: Exception | None = None  # in one of its passes
        self._boundary = -1  # the epoch boundary that it measured last

    def due(self, step: int, boundary: int) -> bool:
        """Say whether to measure at a step, `boundary` epochs ended."""
        if not self.probe.schedule.due(step, boundary != self._boundary):
            return False
        if self.account is None or self.account.allows(step):
            return True
        self._boundary = boundary  # what is skipped is not made up for
        return False

    def idle(self, moment: Moment, boundary: int) -> bool:
        """Say whether an update begins that is not measured."""
        if not moment.first or self.due(moment.step, boundary):
            return False
        self._adding = None
        return True

    def measure_if_due(self, moment: Moment, boundary: int) -> None:
        """Measure under guard and pass the row on, if the schedule says so."""
        if self.due(moment.step, boundary):
            self._boundary = boundary
            with self._surviving(moment):
                with guard(moment.model):
                    row = self.probe.measure(moment)
                self._append(moment, row)

    def start_if_due(self, moment: Moment, boundary: int) -> Started | None:
        """Do what comes before the training backward, if the schedule says so."""
        if not self.due(moment.step, boundary):
            return None
        self._boundary = boundary
        with self._surviving(moment, concludes=False):
            return self.probe.start(moment)

    def add_if_due(self, moment: Moment, boundary: int) -> None:
        """Do the same for one of the passes that make an update; the first one's rule counts."""
        if moment.first:
            self._adding = moment if self.due(moment.step, boundary) else None
            self._error = None
            self._boundary = boundary
        if self._adding is not None and self._error is None:
            try:
                with self._paying(), guard(moment.model):
                    self.probe.add(moment)
            except Exception as error:
                self._error = error

    @property
    def adding(self) -> bool:
        """Whether the passes of the present update are being added."""
        return self._adding is not None

    def complete(self, update: Mapping[str, Tensor]) -> None:
        """Pass on the row of the update whose passes were added, if there is one."""
        if self._adding is None:
            return
        moment, self._adding = self._adding, None
        with self._surviving(moment):
            try:
                row = self.probe.complete(moment, update)  # for which other processes wait
            finally:
                if self._error is not None:
                    raise self._error
            self._append(moment, row)

    def finish(self, moment: Moment, started: Started) -> None:
        """Pass on the row that the training backward has completed."""
        with self._surviving(moment):
            self._append(moment, started.row())

    def measure(self, moment: Moment) -> Row:
        """Measure without guard, pass the row on, and return it."""
        return self._append(moment, self.probe.measure(moment))

    def _append(self, moment: Moment, row: Row) -> Row:
        if self._table is None or self._shared is not moment.parameters:
            if self._table is not None:
                self._rows.hand_over()  # rows with the layers there were
            self._table, self._shared = self.probe.table(moment), moment.parameters
            self._stored = self._rows.declare(self._table)
        assert self._stored is not None
        row = {"step": moment.step, **row}
        self._rows.append(self._table.name, placed(row, self._table, self._stored))
        return row

    @contextmanager
    def _surviving(self, moment: Moment, *, concludes: bool = True) -> Iterator[None]:
        """Take the time, and turn what fails into a row with the reason."""
        try:
            with self._paying():
                yield
        except Exception as error:
            concludes = True
            kind = type(self.probe).__name__
            why = self._failures.tell(
                f"measure {kind}",
                error,
                f"its row of step {moment.step} holds the reason in the place of numbers",
            )
            with suppress(Exception):  # a table that cannot be told without a measurement
                self._append_reason(moment, why)

        if concludes and self.account is not None:
            self.account.measured(moment.step)

    def _paying(self) -> AbstractContextManager[None]:
        return nullcontext() if self.account is None else self.account.paying()

    def _append_reason(self, moment: Moment, why: str) -> None:
        table = self.probe.table(moment)
        if any(column.name == _REASON.name for column in table.columns):
            texts = [why] * len(moment.tasks)
            self._rows.declare(table)
            self._rows.append(table.name, {"step": moment.step, "reason": texts})
            return
        self._rows.declare(replace(table, columns=(*table.columns, _REASON)))
        self._rows.append(table.name, {"step": moment.step, "reason": why})
