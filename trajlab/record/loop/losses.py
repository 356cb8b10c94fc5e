"""The losses of one batch, as a training loop hands them over."""

import operator
from collections.abc import Mapping, Sequence
from functools import reduce
from numbers import Real

from torch import Tensor

from trajlab.errors import TrajlabError

Weights = Mapping[str, float | Tensor]


def present_losses(
    losses: Mapping[str, Tensor | None], weights: Weights | None, tasks: Sequence[str]
) -> dict[str, Tensor]:
    """Return the losses that are not omitted as scalars, in the given order.

    Parameters
    ----------
    losses : mapping of str to Tensor or None
        By task.
    weights : mapping of str to float or Tensor, optional
        By task.
    tasks : sequence of str
        All declared tasks.

    Raises
    ------
    TrajlabError
        If a task is not declared, a loss or weight is not one number, a weight is missing, or no
        loss needs a gradient.
    """
    if not isinstance(losses, Mapping):
        raise TrajlabError(
            f"the losses are a {type(losses).__name__}; give a mapping of each task to its loss, "
            "{'task': loss, …}"
        )
    if not isinstance(weights, Mapping | None):
        raise TrajlabError(
            f"the weights are a {type(weights).__name__}; give a mapping of each task to its "
            "weight, {'task': 1.0, …}"
        )
    for task in (*losses, *(weights or ())):
        if task not in tasks:
            raise TrajlabError(
                f"task {task!r} is not declared; declare it in tasks=, beside {', '.join(tasks)}"
            )
    for task, weight in (weights or {}).items():
        if not (weight.ndim == 0 if isinstance(weight, Tensor) else isinstance(weight, Real)):
            told = (
                f"has shape {tuple(weight.shape)}"
                if isinstance(weight, Tensor)
                else f"is {weight!r}"
            )
            raise TrajlabError(
                f"the weight of task {task!r} {told}; give a number or a tensor without dimensions"
            )
    present = {task: loss for task, loss in losses.items() if loss is not None}
    for task, loss in present.items():
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise TrajlabError(
                f"the loss of task {task!r} is not a tensor of one number; reduce it, for example "
                "with .mean()"
            )
        if weights is not None and task not in weights:
            raise TrajlabError(f"weights lack task {task!r}; give one for each loss")
        if loss.ndim:
            present[task] = loss.reshape(())
    if not present:
        raise TrajlabError("no task has a loss in this batch; give at least one")
    if not any(loss.requires_grad for loss in present.values()):
        raise TrajlabError(
            "the losses need no gradient, so there is nothing to train or measure; compute them "
            "from trainable parameters, outside torch.no_grad()"
        )
    return present


def weighted_sum(losses: Mapping[str, Tensor | None], weights: Weights | None) -> Tensor:
    """Return Σ w L over the losses that are not None, added in their order.

    Parameters
    ----------
    losses : mapping of str to Tensor or None
        By task.
    weights : mapping of str to float or Tensor, optional
        By task; 1 by default.

    Raises
    ------
    TrajlabError
        If all are None.
    """
    terms = [
        loss if weights is None else weights[task] * loss
        for task, loss in losses.items()
        if loss is not None
    ]
    if not terms:
        raise TrajlabError("no task has a loss in this batch; give at least one")
    return reduce(operator.add, terms)
