"""What a probe is, and what it can measure from."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from trajlab.record.schedule import Every, Schedule
from trajlab.store import Table

TaskLosses = Callable[[Any, Any], Mapping[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Moment:
    """The state of training at one measurement.

    Attributes
    ----------
    step : int
        Optimizer updates completed.
    micro_step : int
        Backward passes since the last update.
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
    losses : mapping of str to Tensor
        The scalar losses of the current batch, with their graph; without omitted tasks, and empty
        where there is no current batch.
    weights : mapping of str to float or Tensor
        The weight of each of these losses in the total.
    task_losses : callable or None
        ``fn(model, batch) -> {task: per-example losses (n,)}``.
    """

    step: int
    micro_step: int
    epoch: int
    wall_time: float
    learning_rate: float
    model: nn.Module
    tasks: tuple[str, ...]
    parameters: Mapping[str, nn.Parameter]
    losses: Mapping[str, Tensor]
    weights: Mapping[str, float | Tensor]
    task_losses: TaskLosses | None


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
    """

    needs_graph: bool = False
    needs_task_losses: bool = False

    def __init__(self, every: Every) -> None:
        self.schedule = Schedule(every)

    @abstractmethod
    def table(self, moment: Moment) -> Table:
        """Declare the table; called once, after the first measurement."""

    @abstractmethod
    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return one row: a tensor, number or list of them for each column but ``step``."""
