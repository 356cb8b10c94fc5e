"""What a probe sees: one moment of a training loop."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from trajlab.measure.examples.likelihood import Likelihood

TaskLosses = Callable[[Any, Any], Mapping[str, Tensor | tuple[Tensor, Tensor]]]
Predict = Callable[[Any, Any], Mapping[str, Tensor | Likelihood]]


class Moment(NamedTuple):
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
