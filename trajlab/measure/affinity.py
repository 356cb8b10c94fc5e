"""What a step on one task does to the loss of another."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Losses = Callable[[Mapping[str, Tensor]], Sequence[Tensor]]


def task_affinity(
    losses: Losses, parameters: Mapping[str, Tensor], *, learning_rate: float
) -> Tensor:
    """Compute the affinity of every task to every other by a look-ahead step.

    The step is one of gradient descent on the shared parameters, taken on a copy: there is nothing
    to undo.

    Parameters
    ----------
    losses : callable
        Maps parameters by name to the scalar loss of each task, on the same data.
    parameters : mapping of str to Tensor
        The shared parameters. They are not changed.
    learning_rate : float
        Learning rate of the step.

    Returns
    -------
    Tensor
        float64, shape (task, task): entry (i, j) is 1 − L_j(after a step on task i) / L_j(before),
        positive where the step on i helps j. NaN where L_j is zero before.

    References
    ----------
    C. Fifty et al., *Efficiently Identifying Task Groupings for Multi-Task Learning* (2021),
    arXiv:2109.04617, equation 1.
    """
    leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    before = losses(leaves)
    rows = []
    for loss in before:
        slopes = (
            torch.autograd.grad(loss, list(leaves.values()), retain_graph=True, allow_unused=True)
            if loss.requires_grad
            else [None] * len(leaves)
        )
        ahead = {
            name: p.detach() if g is None else p.detach() - learning_rate * g.to_dense()
            for (name, p), g in zip(leaves.items(), slopes, strict=True)
        }
        rows.append(torch.stack([after.detach().double() for after in losses(ahead)]))
    start = torch.stack([loss.detach().double() for loss in before])
    return 1 - torch.stack(rows) / start.where(start != 0, torch.nan)
