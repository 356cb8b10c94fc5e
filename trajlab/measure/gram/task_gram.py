"""The Gram matrix of task gradients: one pull-back a task."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from trajlab.measure.gram.blocks import Block
from trajlab.measure.gram.formulas import choose_blocks
from trajlab.measure.gram.layer_sums import BlockSums, TaskGram
from trajlab.measure.gram.projection import Projection
from trajlab.measure.gram.segments import split
from trajlab.measure.graph import Graph
from trajlab.measure.layers import group_by_layer


def task_gram(
    losses: Sequence[Tensor | None],
    parameters: Mapping[str, Tensor],
    *,
    projection: Projection | None = None,
) -> TaskGram:
    """Compute the Gram matrix of the losses' gradients for each layer.

    The graph of the losses is retained and stays usable; no ``.grad`` is touched. Where the losses
    are about to be trained on, `TrainingGram` costs one pull-back less.

    Parameters
    ----------
    losses : sequence of Tensor or None
        Scalars, one a task, on one graph or several. None for an omitted task; a loss that needs no
        gradient has the gradient zero.
    parameters : mapping of str to Tensor
        The parameters to differentiate for, by qualified name. One that a loss does not reach, or
        that is frozen, has the gradient zero.
    projection : Projection, optional
        Estimate what is cheaper to estimate; by default everything is exact.

    Returns
    -------
    TaskGram
        Accumulated in float64; products in the parameters' precision, at least float32.

    Raises
    ------
    TrajlabError
        If the graph goes through a reentrant checkpoint.
    """
    names_by_layer = group_by_layer(parameters)
    graph = Graph(losses)
    blocks = choose_blocks(names_by_layer, parameters, graph, len(losses), projection=projection)
    device = next((p.device for p in parameters.values()), torch.device("cpu"))
    sums = BlockSums(names_by_layer, losses, device)
    roots: dict[int, tuple[Tensor | GradientEdge, Tensor | None]] = {
        t: (loss, None) for t, loss in enumerate(losses) if loss is not None and loss.requires_grad
    }
    for segment in split(graph, blocks, len(losses)):
        rows_of: dict[Block, dict[int, Tensor]] = {block: {} for block in segment.blocks}
        carried = {}
        for t, (root, gradient) in roots.items():
            rows, following = segment.pull_back(root, gradient)
            for block, row in rows.items():
                rows_of[block][t] = row
            if segment.following is not None and following is not None:
                carried[t] = (segment.following, following)
        for block in segment.blocks:
            sums.add(block, rows_of.pop(block))
        roots = dict(carried)
    return sums.result()
