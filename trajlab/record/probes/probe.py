"""What a probe is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Self

from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.guard import guard
from trajlab.measure.sums.processes import processes
from trajlab.record.loop.setup import Setup
from trajlab.record.loop.wrappers import is_sharded, refuse_compiled
from trajlab.record.moment import Moment
from trajlab.record.schedule import Every, Schedule
from trajlab.store import Table

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Started:
    """A measurement that the training backward may complete.

    Attributes
    ----------
    row : callable
        Returns the row; called after the training backward, not under guard.
    watching : context manager
        Entered around the training backward alone.
    """

    row: Callable[[], Row]
    watching: AbstractContextManager[object] = field(default_factory=nullcontext)


class Probe(ABC):
    """A quantity to record: its schedule, what it needs, its table, and one row of it.

    A new quantity overrides `table` and `measure`. The recorder calls `measure` inside
    `trajlab.measure.guard`, before the training backward.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure, as in `trajlab.record.schedule.Schedule`.

    Attributes
    ----------
    schedule : Schedule
        The rule that `every` gives.
    needs_graph : bool
        Whether it measures on the graph of the current batch.
    needs_task_losses : bool
        Whether it measures on data of its own, through the recorder's ``task_losses=``.
    needs_predict : bool
        Whether it needs the model's predictions, through the recorder's ``predict=``.
    needs_data : bool
        Whether it measures on nothing but data of its own, its ``data=``.
    """

    needs_graph: bool = False
    needs_task_losses: bool = False
    needs_predict: bool = False
    needs_data: bool = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note what it is made with, to make another one for another run."""
        probe = super().__new__(cls)
        probe._made_with = args, kwargs
        probe._run = None
        return probe

    _made_with: tuple[tuple[Any, ...], dict[str, Any]]
    _run: object  # the one that it measures

    def of(self, run: object) -> Self:
        """Return the probe that measures a run: this one, unless it has measured another.

        What it knows of one run, such as the weights at its start, is none of another's.

        Parameters
        ----------
        run : object
            What the run is told from others by.
        """
        args, kwargs = self._made_with
        probe = self if self._run in (None, run) else type(self)(*args, **kwargs)
        probe._run = run
        return probe

    @property
    def quantity(self) -> str:
        """What it measures: two probes of one quantity would write one table."""
        return type(self).__name__

    @property
    def survives_compilation(self) -> bool:
        """Whether it needs no graph of the model, or can do with a compiled one."""
        return not (self.needs_graph or self.needs_task_losses or self.needs_predict)

    @property
    def survives_sharding(self) -> bool:
        """Whether it can measure a model of which each process keeps only a shard."""
        return False

    def __init__(self, every: Every) -> None:
        self.schedule = Schedule(every)

    def check(self, setup: Setup) -> None:
        """Raise if it cannot measure in this loop; called when the recorder is made.

        Parameters
        ----------
        setup : Setup
            What the recorder is made with.

        Raises
        ------
        TrajlabError
            Saying what the probe lacks, and what to do.
        """
        kind = type(self).__name__
        if not self.survives_compilation:
            refuse_compiled(
                setup.model if self.needs_graph else setup.inner,
                f"{kind} cannot measure that",
                "leave the probe out, or train the model uncompiled",
            )
        if is_sharded(setup.model) and not self.survives_sharding:
            raise TrajlabError(
                f"{kind} cannot measure a model given to fully_shard; leave the probe out"
            )
        if processes() > 1 and self.needs_graph and self.schedule.every == "epoch":
            raise TrajlabError(
                f"{kind}(every='epoch') would wait for processes that do not evaluate; give a "
                "number of steps"
            )
        if self.needs_task_losses and setup.task_losses is None:
            raise TrajlabError(
                f"{kind} measures on data of its own and needs to know the "
                "losses there; pass task_losses=fn to the recorder"
            )
        if self.needs_predict and setup.predict is None:
            raise TrajlabError(
                f"{kind} samples targets from the model's predictions; pass predict=fn to the "
                "recorder"
            )

    @abstractmethod
    def table(self, moment: Moment) -> Table:
        """Declare the table; called after the first measurement."""

    @abstractmethod
    def measure(self, moment: Moment) -> Row:
        """Return one row: a value for each column but ``step``.

        A tensor, a number, a list of them, or a function that returns one when the row is written;
        what that function holds stays in memory until then.
        """

    def adds_up(self, moment: Moment) -> bool:
        """Say whether it measures over all passes of the update, and not at the first one."""
        return False

    def add(self, moment: Moment) -> None:
        """Take in one of those passes, before its backward."""
        raise NotImplementedError

    def complete(self, moment: Moment, update: Mapping[str, Tensor]) -> Row:
        """Return the row of an update, just before the optimizer takes it.

        Parameters
        ----------
        moment : Moment
            The moment of the update's first pass.
        update : mapping of str to Tensor
            The gradients that the optimizer is about to take, by the names of the shared
            parameters; empty where that is not known.
        """
        raise NotImplementedError

    def start(self, moment: Moment) -> Started:
        """Measure where the training backward of the weighted sum of the losses follows.

        All probes start before any hook watches that backward, so none sees another's passes. Not
        under guard: what overrides this guards itself, where it runs more than hooks that look.
        """
        with guard(moment.model):
            row = self.measure(moment)
        return Started(lambda: row)
