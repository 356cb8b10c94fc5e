"""Which parts of the graph all pull-backs go through before any goes further."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from trajlab.measure.gram.blocks import Block
from trajlab.measure.graph import Graph

_LARGE = 2**23  # numbers; what a segment's gradients of all tasks amount to, at least


@dataclass(frozen=True)
class Segment:
    """A part of the graph between two edges, or from the losses down.

    Every path from a loss to what lies below an edge goes through that edge, so the gradients of
    the tasks there are all that is needed to go on.

    Attributes
    ----------
    source : GradientEdge or None
        Edge where it begins; None for the losses.
    blocks : tuple of Block
        Blocks of which the gradients arrive within it.
    following : GradientEdge or None
        Edge where it ends and the next segment begins; None for the last one.
    """

    source: GradientEdge | None
    blocks: tuple[Block, ...]
    following: GradientEdge | None

    def pull_back(
        self, root: Tensor | GradientEdge, gradient: Tensor | None = None
    ) -> tuple[dict[Block, Tensor], Tensor | None]:
        """Pull one task's gradient back; the graph is retained.

        Parameters
        ----------
        root : Tensor or GradientEdge
            The task's loss, or `source`.
        gradient : Tensor, optional
            The gradient there; 1 by default.

        Returns
        -------
        tuple of dict of Block to Tensor, and Tensor or None
            The gradients at the blocks that the task reaches, and at `following`.
        """
        edges: list[GradientEdge] = [block.edge for block in self.blocks]
        if self.following is not None:
            edges.append(self.following)
        if not edges:
            return {}, None
        outputs = (root,) if isinstance(root, Tensor) else root
        gradients = torch.autograd.grad(
            outputs,
            edges,
            None if gradient is None else [gradient],
            retain_graph=True,
            allow_unused=True,
        )
        rows = {b: row for b, row in zip(self.blocks, gradients, strict=False) if row is not None}
        return rows, None if self.following is None else gradients[-1]


def split(graph: Graph, blocks: Sequence[Block], tasks: int) -> list[Segment]:
    """Split the graph, so that heads are walked once and gradients are not all held at once.

    The first segment goes from the losses to the first edge that is on every path to every block,
    usually the trunk's output; without one, it is the only segment. Below it a new one begins where
    the gradients above have grown large, and the gradient at the edge itself is smaller than those.

    Parameters
    ----------
    graph : Graph
        Graph of the losses.
    blocks : sequence of Block
        Blocks of which the gradients are wanted.
    tasks : int
        Number of gradients that are held at once.
    """
    edges = _edges(graph, blocks)
    source = next(edges, None)
    if source is None:
        return [Segment(None, tuple(blocks), None)]
    segments = [Segment(None, (), source)]
    left = list(blocks)
    if tasks * sum(block.size for block in blocks) > _LARGE:
        for edge in _edges(graph, blocks[:1]):
            above = [b for b in left if edge.node not in graph.dominators([b.edge.node])]
            size = sum(block.size for block in above)
            if (
                tasks * size > _LARGE
                and numel(edge) < size
                and graph.below(edge.node).isdisjoint(b.edge.node for b in above)
            ):
                segments.append(Segment(source, tuple(above), edge))
                left = [block for block in left if block not in above]
                source = edge
    return [*segments, Segment(source, tuple(left), None)]


def _edges(graph: Graph, blocks: Sequence[Block]) -> Iterator[GradientEdge]:
    """Yield the edges on every path to the blocks, from the losses down."""
    for node in graph.dominators(block.edge.node for block in blocks):
        edge = graph.edge(node)
        if edge is not None:
            yield edge


def numel(edge: GradientEdge) -> int:
    """Return how many numbers a gradient at the edge holds."""
    return prod(edge.node._input_metadata[edge.output_nr].shape)
