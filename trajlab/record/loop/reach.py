"""Which parameters each loss depends on, though losses may have been collected in one tensor."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from math import nan

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from trajlab.record.loop.wrappers import hidden_part

_Edge = tuple[Node, int]


def reached(losses: Sequence[Tensor]) -> list[set[int]]:
    """Return the identities of the leaf tensors that each loss depends on.

    Losses or outputs that are stacked, or written into a tensor, and then indexed are one tensor on
    the graph, so that each loss reaches the others' heads. Where two losses come to a number on the
    graph, or to a tensor above the parameters of heads, and one has the exact derivative zero to it
    and the other not, what is below is therefore none of the first one's. Derivatives that begin as
    NaN tell more: what was multiplied by zero is NaN then, and what was not indexed is zero.

    Parameters
    ----------
    losses : sequence of Tensor
        Scalars; their graph is retained.

    Returns
    -------
    list of set of int
        One set a loss.
    """
    walks = [_walk(loss, ()) for loss in losses]
    arrivals = Counter(
        edge
        for loss, (_, scalars) in zip(losses, walks, strict=True)
        for edge in scalars | _above_parameters(loss)
    )
    common = [edge for edge, number in arrivals.items() if number > 1]
    if not common:
        return [leaves for leaves, _ in walks]
    exact, structural = (_foreign(losses, common, slope) for slope in (1.0, nan))
    return [
        # a loss that is multiplied by zero now would else depend on nothing
        _walk(loss, moved | zero)[0] or _walk(loss, moved)[0] or whole
        for loss, zero, moved, (whole, _) in zip(losses, exact, structural, walks, strict=True)
    ]


def reaches(loss: Tensor, parameters: Iterable[Tensor]) -> bool:
    """Say whether a loss depends on one of the parameters, as far as its graph tells."""
    leaves, _ = _walk(loss, ())
    return hidden_part([loss]) is not None or not leaves.isdisjoint(map(id, parameters))


def _descend(
    loss: Tensor, below: Callable[[Node], list[_Edge]]
) -> Iterator[tuple[Node, list[_Edge]]]:
    """Yield the nodes under a loss, each once, with the edges `below` it that are followed."""
    seen: set[Node] = set()
    stack = [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            edges = below(node)
            yield node, edges
            stack.extend(following for following, _ in edges)


def _edges(node: Node) -> list[_Edge]:
    """Return where its derivatives go."""
    return [(following, number) for following, number in node.next_functions if following]


def _walk(loss: Tensor, closed: Collection[_Edge]) -> tuple[set[int], set[_Edge]]:
    """Return the leaves that a loss reaches, and the numbers on the way; not through `closed`."""
    leaves: set[int] = set()
    scalars: set[_Edge] = set()
    for node, edges in _descend(loss, lambda node: [e for e in _edges(node) if e not in closed]):
        if hasattr(node, "variable"):  # AccumulateGrad
            leaves.add(id(node.variable))
        scalars.update(edge for edge in edges if _is_scalar(*edge))
    return leaves, scalars


def _above_parameters(loss: Tensor) -> set[_Edge]:
    """Return where tensors come in on the way down to the first parameters."""

    def below(node: Node) -> list[_Edge]:
        edges = _edges(node)
        return [] if any(_is_parameter(following) for following, _ in edges) else edges

    return {edge for _, edges in _descend(loss, below) for edge in edges}


def _is_parameter(node: Node) -> bool:
    """Say whether a node gives a leaf, or what one such as its transpose or copy is made into."""
    while len(node.next_functions) == 1 and node.next_functions[0][0] is not None:
        node = node.next_functions[0][0]
    return hasattr(node, "variable")


def _is_scalar(node: Node, number: int) -> bool:
    """Say whether one number arrives there, which is no leaf."""
    arrives = getattr(node, "_input_metadata", ())
    return (
        number < len(arrives)
        and not hasattr(node, "variable")
        and all(size == 1 for size in arrives[number].shape)
    )


def _foreign(losses: Sequence[Tensor], edges: Sequence[_Edge], slope: float) -> list[set[_Edge]]:
    """Return, for each loss, the edges at which others have a derivative and it has zero."""
    used = [_used(loss, edges, slope) for loss in losses]
    anybody = set().union(*used)
    return [anybody - own for own in used]


def _used(loss: Tensor, edges: Sequence[_Edge], slope: float) -> set[_Edge]:
    """Return the edges at which the loss has a derivative that is not zero, from this slope on."""
    if not loss.requires_grad:
        return set()
    with torch.autograd.set_detect_anomaly(False):  # which takes NaN for a fault
        gradients = torch.autograd.grad(
            loss,
            [GradientEdge(*edge) for edge in edges],
            torch.full_like(loss, slope),
            retain_graph=True,
            allow_unused=True,
        )
    return {e for e, g in zip(edges, gradients, strict=True) if g is not None and bool(g.any())}
