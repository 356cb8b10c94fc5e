"""Task gradients at the representation that the tasks share, instead of at the parameters."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from trajlab.measure.gram.blocks import GradientBlock
from trajlab.measure.gram.layer_sums import BlockSums
from trajlab.measure.gram.segments import Segment, numel
from trajlab.measure.gram.watch import Arrivals, Watch
from trajlab.measure.gram.watch_separate import Contributions
from trajlab.measure.gram.watch_total import Total
from trajlab.measure.gram.weights import Weight
from trajlab.measure.graph import Graph
from trajlab.measure.guard import guard

_LAYER = "representation"


def representation_gram(losses: Sequence[Tensor | None]) -> Tensor:
    """Compute the Gram matrix of the losses' gradients at the last tensor that all of them share.

    Where heads read the output of a trunk this is that output, and no gradient passes below it. It
    is an upper bound on conflict in the sense of the chain rule, not the conflict at the parameters
    (O. Sener and V. Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018,
    section 3.3). The graph is retained and stays usable.

    Parameters
    ----------
    losses : sequence of Tensor or None
        Scalars, one a task; None for an omitted task.

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
    block = _block(Graph(losses))
    whole = Segment(None, (block,), None)
    rows = {
        t: whole.pull_back(loss)[0][block]
        for t, loss in enumerate(losses)
        if loss is not None and loss.requires_grad
    }
    sums = BlockSums([_LAYER], losses, _device(losses))
    sums.add(block, rows)
    return sums.result().gram[0]


def watch_representation(
    model: nn.Module, losses: Sequence[Tensor | None], weights: Sequence[Weight]
) -> Watch:
    """Measure the same around the training backward, which brings the gradients along.

    Parameters
    ----------
    model : nn.Module
        The model that is trained.
    losses : sequence of Tensor or None
        Scalars, one a task; None for an omitted task.
    weights : sequence of float or Tensor
        Weights of the losses in the total; of omitted tasks, anything.

    Returns
    -------
    Watch
        A context to be entered around ``sum(w * loss).backward()``; its result has one layer.

    Raises
    ------
    TrajlabError
        As `representation_gram`.
    """
    graph = Graph(losses)
    block = _block(graph)
    sums = BlockSums([_LAYER], losses, _device(losses))
    guarded = partial(guard, model)
    arrivals = Arrivals(graph, block.edge)
    if arrivals.separable:
        return Contributions({block: arrivals}, losses, weights, sums, guarded)
    return Total(graph, [Segment(None, (block,), None)], losses, weights, sums, guarded)


def _block(graph: Graph) -> GradientBlock:
    edge = graph.common_edge()
    return GradientBlock(_LAYER, (), edge, numel(edge))


def _device(losses: Sequence[Tensor | None]) -> torch.device:
    return next(loss.device for loss in losses if loss is not None)
