"""All that a recorder measures at the moments of a loop."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack

from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.record.attached import Attached
from trajlab.record.budget import Account, Budget, Overhead, check_overhead
from trajlab.record.failures import Failures
from trajlab.record.loop.setup import Setup
from trajlab.record.moment import Moment
from trajlab.record.probes.probe import Probe, Started
from trajlab.record.rows import Rows

_logger = logging.getLogger("trajlab")


class Measurements:
    """Lets each probe measure at the moments that are its own.

    Parameters
    ----------
    probes : sequence of Probe
        What measures.
    rows : Rows
        Where their tables are declared, and their rows go.
    failures : Failures
        What is told of measurements that fail.
    overhead : float or path, optional
        As in `Budget`; without it, probes measure whenever their schedules say so.
    """

    def __init__(
        self,
        probes: Sequence[Probe],
        rows: Rows,
        failures: Failures,
        overhead: Overhead | None = None,
    ) -> None:
        self._budget = None
        accounts: list[Account | None] = [None] * len(probes)
        if overhead is not None:
            self._budget = Budget(overhead, [probe.quantity for probe in probes], rows)
            accounts = [*self._budget.accounts]
        self._probes = [
            Attached(probe, rows, failures, account)
            for probe, account in zip(probes, accounts, strict=True)
        ]
        self._told = False
        self._first: Collection[str] = ()  # tasks with a loss in the update's first pass

    def due(self, step: int, boundary: int) -> bool:
        """Say whether a probe will measure at that step, in that epoch."""
        return any(attached.due(step, boundary) for attached in self._probes)

    def needs_graph(self, step: int, boundary: int) -> bool:
        """Say whether a probe will measure on the graph of that step, in that epoch."""
        return any(
            attached.probe.needs_graph and attached.due(step, boundary) for attached in self._probes
        )

    def start(self, moment: Moment, boundary: int) -> list[tuple[Attached, Started]]:
        """Do what comes before the training backward; return what that is to complete."""
        return [
            (attached, measurement)
            for attached in self._measuring(moment, boundary)
            if (measurement := attached.start_if_due(moment, boundary)) is not None
        ]

    def watching(self, started: Sequence[tuple[Attached, Started]]) -> ExitStack:
        """Return a context that watches the training backward for all that were started."""
        with ExitStack() as entered:
            if self._budget is not None:
                accounts = [attached.account for attached, _ in started if attached.account]
                entered.enter_context(self._budget.backward(accounts))
            for _, measurement in started:
                entered.enter_context(measurement.watching)
            return entered.pop_all()

    def observe(self, moment: Moment, boundary: int) -> None:
        """Measure at a pass whose backward belongs to the loop."""
        for attached in self._measuring(moment, boundary):
            attached.measure_if_due(moment, boundary)

    def _measuring(self, moment: Moment, boundary: int) -> Iterator[Attached]:
        """Yield the probes that measure at this pass; the others add it up, or miss it."""
        self._note_first(moment)
        for attached in self._probes:
            if attached.idle(moment, boundary):
                continue
            if attached.probe.adds_up(moment):
                attached.add_if_due(moment, boundary)
            elif moment.first:
                yield attached
            else:
                self._miss(attached, moment, boundary)

    def evaluate(self, moment: Moment, boundary: int) -> None:
        """Measure, at an evaluation, what is measured once an epoch and needs no batch."""
        for attached in self._probes:
            if attached.probe.schedule.every == "epoch" and not attached.probe.needs_graph:
                attached.measure_if_due(moment, boundary)

    def complete(self, update: Callable[[], Mapping[str, Tensor]]) -> None:
        """Complete what was measured over the passes of the update that is about to be made.

        Parameters
        ----------
        update : callable
            Returns the gradients that the optimizer is about to take.
        """
        for attached in self._probes:
            if attached.adding:
                attached.complete(update())

    def _note_first(self, moment: Moment) -> None:
        if moment.first:
            self._first = tuple(moment.losses)

    def _miss(self, attached: Attached, moment: Moment, boundary: int) -> None:
        """Say once that passes are accumulated without the recorder knowing."""
        if (
            moment.passes == 1
            and not self._told
            and attached.probe.needs_graph
            and attached.due(moment.step, boundary)
        ):
            self._told = True
            late = ", ".join(repr(task) for task in moment.losses if task not in self._first)
            _logger.warning(
                "trajlab measures the first of several backward passes of step %d only; %s",
                moment.step,
                f"task {late} has its loss in a later one, so that its gradient is NaN: hand over "
                "the losses of all tasks in one call, before the first backward (observe() leaves "
                "the backward to you)"
                if late
                else "pass accumulate= to measure them together, where they add up to one update",
            )


def check_probes(probes: Sequence[Probe], setup: Setup, overhead: Overhead | None = None) -> None:
    """Raise if probes cannot measure in this loop or for this time, or two write one table.

    Raises
    ------
    TrajlabError
        Naming the probe, and what to do.
    """
    if isinstance(probes, Probe):
        raise TrajlabError(f"probes= is one {type(probes).__name__}; give a list of probes")
    if not isinstance(probes, Iterable):
        raise TrajlabError(f"probes={probes!r} is no list; give a list of probes")
    for probe in probes:
        if not isinstance(probe, Probe):
            raise TrajlabError(
                f"{probe!r} in probes= is no probe; give objects, as in "
                "probes=[probes.TaskGradients(every=10), *probes.light()]"
            )
    quantities = [probe.quantity for probe in probes]
    for probe in probes:
        if quantities.count(probe.quantity) > 1:
            raise TrajlabError(f"two {type(probe).__name__} probes would write one table; give one")
        probe.check(setup)
    if overhead is not None:
        check_overhead(overhead, quantities)
