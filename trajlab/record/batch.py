"""The losses of one batch, as a training loop hands them over."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from trajlab.errors import TrajlabError

Weights = Mapping[str, float | Tensor]


def present_losses(
    losses: Mapping[str, Tensor | None], weights: Weights | None, tasks: Sequence[str]
) -> dict[str, Tensor]:
    """Return the losses that are not omitted, in the given order.

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
        If a task is not declared, a loss is not a scalar tensor, a weight is missing, or no loss
        needs a gradient.
    """
    for task in (*losses, *(weights or ())):
        if task not in tasks:
            raise TrajlabError(
                f"task {task!r} is not declared; declare it in tasks=, beside {', '.join(tasks)}"
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
    if not any(loss.requires_grad for loss in present.values()):
        raise TrajlabError(
            "the losses need no gradient, so there is nothing to train or measure; compute them "
            "from trainable parameters, outside torch.no_grad()"
        )
    return present
