"""What a probe is, and what it can measure from."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from trajlab.measure.examples.likelihood import Likelihood
from trajlab.measure.guard import guard
from trajlab.record.schedule import Every, Schedule
from trajlab.store import Table

Row = Mapping[str, Any]
TaskLosses = Callable[[Any, Any], Mapping[str, Tensor | tuple[Tensor, Tensor]]]
Predict = Callable[[Any, Any], Mapping[str, Tensor | Likelihood]]


@dataclass(frozen=True, slots=True)
class Moment:
    """The state of training at one measurement.

    Attributes
    ----------
    step : int
        Optimizer updates completed.
    micro_step : int
        Backward passes since the last update.
    passes : int
        Backward passes that this update is made of: 1, or more where gradients are accumulated.
    first : bool
        Whether this is the first of them. (After an update that a loss scaler skipped, the next
        pass is the first one again, of the same step.)
    loss_scale : float
        What the total is multiplied by for its backward pass, by a loss scaler; the losses are
        without it.
    epoch : int
        Epochs completed.
    wall_time : float
        Seconds since the run was created.
    learning_rate : float
        Of the optimizer's first parameter group; NaN without an optimizer.
    model : nn.Module
        The model, with the weights of that step.
    tasks : tuple of str
        All declared tasks, in the order of every task axis.
    parameters : mapping of str to nn.Parameter
        The shared parameters by qualified name.
    leaves : mapping of str to Tensor
        What the graph of the current batch holds in their place: they themselves, unless each
        process keeps only a shard of them.
    losses : mapping of str to Tensor
        The scalar losses of the current batch, with their graph; without omitted tasks, and empty
        where there is no current batch.
    weights : mapping of str to float or Tensor
        The weight of each of these losses in the total.
    task_losses : callable or None
        ``fn(model, batch) -> {task: per-example losses (n,)}``; or a pair of losses and their
        denominators, both (n,).
    predict : callable or None
        ``fn(model, batch) -> {task: class logits or a likelihood}``.
    """

    step: int
    micro_step: int
    passes: int
    first: bool
    loss_scale: float
    epoch: int
    wall_time: float
    learning_rate: float
    model: nn.Module
    tasks: tuple[str, ...]
    parameters: Mapping[str, nn.Parameter]
    leaves: Mapping[str, Tensor]
    losses: Mapping[str, Tensor]
    weights: Mapping[str, float | Tensor]
    task_losses: TaskLosses | None
    predict: Predict | None

    @property
    def trainable(self) -> dict[str, nn.Parameter]:
        """Those of `parameters` that are not frozen at present."""
        return {name: p for name, p in self.parameters.items() if p.requires_grad}


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

    The recorder calls `measure` inside `trajlab.measure.guard`, before the training backward.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure, as in `trajlab.record.schedule.Schedule`.

    Attributes
    ----------
    schedule : Schedule
    needs_graph : bool
        Whether it measures on the graph of the current batch.
    needs_task_losses : bool
        Whether it measures on data of its own, through the recorder's ``task_losses=``.
    needs_predict : bool
        Whether it needs the model's predictions, through the recorder's ``predict=``.
    """

    needs_graph: bool = False
    needs_task_losses: bool = False
    needs_predict: bool = False

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

    @abstractmethod
    def table(self, moment: Moment) -> Table:
        """Declare the table; called once, after the first measurement."""

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
            That of the update's first pass.
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
