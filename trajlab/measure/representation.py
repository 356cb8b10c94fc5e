"""Task gradients at the representation that the tasks share, instead of at the parameters."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trajlab.measure.blocks import inner_products
from trajlab.measure.graph import Graph


def representation_gram(losses: Sequence[Tensor | None]) -> Tensor:
    """Compute the Gram matrix of the losses' gradients at the last tensor that all of them share.

    Where heads read the output of a trunk this is that output, and no gradient passes below it. It
    is an upper bound on conflict in the sense of the chain rule, not the conflict at the parameters
    (O. Sener and V. Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018,
    section 3.3). The graph is retained and stays usable.

    Parameters
    ----------
    losses : sequence of Tensor or None
        One scalar a task; None for an omitted task.

    Returns
    -------
    Tensor
        float64, shape (task, task). An omitted task's row and column are NaN; a loss that needs no
        gradient has the gradient zero.

    Raises
    ------
    TrajlabError
        If fewer than two losses have a graph, or they do not leave one common tensor.
    """
    edge = Graph(losses).common_edge()
    rows = [
        torch.autograd.grad([loss], [edge], retain_graph=True)[0]
        if loss is not None and loss.requires_grad
        else None
        for loss in losses
    ]
    gram = inner_products(rows, next(row.device for row in rows if row is not None))
    omitted = [t for t, loss in enumerate(losses) if loss is None]
    gram = (gram + gram.mT) / 2
    gram[omitted, :] = gram[:, omitted] = torch.nan
    return gram
