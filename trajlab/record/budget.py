"""A share of training time that measuring may take."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from time import perf_counter
from typing import Any

import torch

from trajlab.errors import TrajlabError
from trajlab.measure.sums.processes import processes
from trajlab.record.rows import Rows
from trajlab.store import Column, Table, Trajectory

Overhead = float | str | PathLike[str]
_BUDGET = Table(
    "budget",
    (
        Column("probe", dtype="str", description="what its schedule asked for"),
        Column("seconds", description="what measuring took; NaN where it was skipped"),
        Column("skipped", dtype="bool", description="whether the budget left it out"),
    ),
    key=("step", "probe"),
)
_EVERY = 100  # plain backward passes of which one is timed: on a GPU, timing waits for it


def now() -> float:
    """Return seconds, after what a GPU still has to do."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
    return perf_counter()


class Budget:
    """Decides what is measured of what schedules ask for, and keeps what it takes.

    Each probe has an equal part. It measures once, for nothing else tells what that takes; then
    whenever its part of the training time so far pays for what it has spent and for once more.

    Parameters
    ----------
    overhead : float or path
        The share of training time; or a run that was recorded with one, for the same steps.
    probes : sequence of str
        What the probes measure.
    rows : Rows
        Where the table ``budget`` goes.

    Raises
    ------
    TrajlabError
        As `check_overhead`.
    """

    def __init__(self, overhead: Overhead, probes: Sequence[str], rows: Rows) -> None:
        self.clock = now
        self.spent = 0.0
        self._rows = rows
        self._began: float | None = None
        self._plain: float | None = None  # seconds of a backward pass that measures nothing
        self._passes = 0
        self._pending: list[tuple[Account, int]] = []
        share = overhead if isinstance(overhead, int | float) else None
        steps = {} if isinstance(overhead, int | float) else _steps(overhead, probes)
        self.attributes: dict[str, Any] = {"overhead": share or str(overhead)}
        self.accounts = [
            Account(self, name, (share or 1.0) / len(probes), steps.get(name)) for name in probes
        ]

    @property
    def training(self) -> float:
        """Seconds since the first question, without those that measuring took."""
        time = self.clock()
        if self._began is None:
            self._began = time
        return time - self._began - self.spent

    @contextmanager
    def backward(self, measuring: Sequence["Account"]) -> Iterator[None]:
        """Time the training backward; what it takes longer than others is paid by who watches it.

        Parameters
        ----------
        measuring : sequence of Account
            Of the probes that it completes.
        """
        self._passes += 1
        if not measuring and self._plain is not None and self._passes % _EVERY:
            yield
            return
        began = self.clock()
        yield
        taken = self.clock() - began
        for account in measuring:  # all of it, as long as no other pass is known
            account.pay(max(taken - (self._plain or 0.0), 0.0) / len(measuring))
        if self._plain is None:
            self._pending += [(account, len(measuring)) for account in measuring]
        if not measuring:
            self._plain = taken
            for account, number in self._pending:
                account.pay(-taken / number)
            self._pending.clear()

    def tell(self, row: dict[str, Any]) -> None:
        """Write a row, and what has become of the schedules."""
        self._rows.declare(Table(_BUDGET.name, _BUDGET.columns, {}, self.attributes, _BUDGET.key))
        self._rows.append(_BUDGET.name, row)


def check_overhead(overhead: Overhead, probes: Sequence[str]) -> None:
    """Raise if probes cannot be held to this share of training time, or to that run's steps.

    Raises
    ------
    TrajlabError
        If the share does not lie between 0 and 1, or the run has no table ``budget``, or not of
        these probes; or if several processes train, which have to measure together and whose clocks
        differ.
    """
    if not isinstance(overhead, int | float):
        _steps(overhead, probes)
        return
    if not 0 < overhead < 1:
        raise TrajlabError(
            f"overhead={overhead} is no share of training time; give one between 0 and 1"
        )
    if processes() > 1:
        raise TrajlabError(
            "overhead= is a matter of one process's clock, and these have to measure together; "
            "give schedules, or a recorded run for its steps"
        )


class Account:
    """What one probe may spend.

    Parameters
    ----------
    budget : Budget
        Which it is part of.
    name : str
        What the probe measures.
    part : float
        Its share of training time.
    steps : set of int, optional
        The steps to measure at whatever it takes, among those that the schedule asks for.
    """

    def __init__(self, budget: Budget, name: str, part: float, steps: set[int] | None) -> None:
        self._budget, self._name, self._part, self._steps = budget, name, part, steps
        self._spent = self._cost = self._before = 0.0
        self._asked: tuple[int, bool] | None = None
        self._done = self._skipped = 0

    def allows(self, step: int) -> bool:
        """Say whether to measure at a step that is due; the answer of a step stays.

        Parameters
        ----------
        step : int
            Optimizer updates completed.
        """
        if self._asked is None or self._asked[0] != step:
            allowed = step in self._steps if self._steps is not None else self._affordable()
            self._asked = step, allowed
            if not allowed:
                self._skipped += 1
                self._budget.tell({"step": step, "probe": self._name, "skipped": True})
        return self._asked[1]

    @contextmanager
    def paying(self) -> Iterator[None]:
        """Take the time of what is done within."""
        began = self._budget.clock()
        try:
            yield
        finally:
            self.pay(self._budget.clock() - began)

    def pay(self, seconds: float) -> None:
        """Take seconds that measuring took."""
        self._spent += seconds
        self._budget.spent += seconds

    def measured(self, step: int) -> None:
        """Write down what a measurement took, now that it is complete."""
        self._cost, self._before = self._spent - self._before, self._spent
        self._done += 1
        told = f"{self._done} of {self._done + self._skipped} steps that were due"
        self._budget.attributes[f"measured_{self._name}"] = told
        self._budget.tell({"step": step, "probe": self._name, "seconds": self._cost})

    def _affordable(self) -> bool:
        training = self._budget.training
        return not self._done or self._spent + self._cost <= self._part * training


def _steps(path: str | PathLike[str], probes: Sequence[str]) -> dict[str, set[int]]:
    run = Trajectory(path)
    if _BUDGET.name not in run.tables:
        raise TrajlabError(
            f"{run.path} has no table budget whose steps could be taken; record it with overhead="
        )
    table = run.table(_BUDGET.name)
    measured = ~table["skipped"].astype(bool)
    names, steps = table["probe"][measured], table["step"][measured]
    found = {name: set(steps[names == name].tolist()) for name in probes}
    if lacking := [name for name, own in found.items() if not own]:
        raise TrajlabError(
            f"{run.path} measured no {', '.join(lacking)}; give the same probes as it had"
        )
    return found
