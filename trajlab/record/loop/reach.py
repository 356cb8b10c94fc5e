"""Which parameters each loss depends on, though losses may have been collected in one tensor."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

_Scalar = tuple[Node, int]


def reached(losses: Sequence[Tensor]) -> list[set[int]]:
    """Return the identities of the leaf tensors that each loss depends on.

    Losses that are stacked, or written into a tensor, and then indexed are one tensor on the graph,
    so that each reaches the others' heads. A number on the graph that one of them depends on and
    another has the exact derivative zero to is therefore none of the other's.

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
    common = [
        scalar
        for scalar in dict.fromkeys(scalar for _, scalars in walks for scalar in scalars)
        if sum(scalar in scalars for _, scalars in walks) > 1
    ]
    if not common:
        return [leaves for leaves, _ in walks]
    used = [_used(loss, common) for loss in losses]
    anybody = set().union(*used)
    return [_walk(loss, anybody - of_loss)[0] for loss, of_loss in zip(losses, used, strict=True)]


def _walk(loss: Tensor, closed: Collection[_Scalar]) -> tuple[set[int], set[_Scalar]]:
    """Return the leaves that a loss reaches, and the numbers on the way; not through `closed`."""
    seen: set[Node] = set()
    leaves: set[int] = set()
    scalars: set[_Scalar] = set()
    stack = [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):  # AccumulateGrad
            leaves.add(id(node.variable))
        for following, number in node.next_functions:
            if following is None or (following, number) in closed:
                continue
            stack.append(following)
            if _is_scalar(following, number):
                scalars.add((following, number))
    return leaves, scalars


def _is_scalar(node: Node, number: int) -> bool:
    """Say whether one number arrives there, which is no leaf."""
    arrives = getattr(node, "_input_metadata", ())
    return (
        number < len(arrives)
        and not hasattr(node, "variable")
        and all(size == 1 for size in arrives[number].shape)
    )


def _used(loss: Tensor, scalars: Sequence[_Scalar]) -> set[_Scalar]:
    """Return the numbers of which a loss has a derivative that is not zero."""
    if not loss.requires_grad:
        return set()
    edges = [GradientEdge(*scalar) for scalar in scalars]
    gradients = torch.autograd.grad(loss, edges, retain_graph=True, allow_unused=True)
    return {s for s, g in zip(scalars, gradients, strict=True) if g is not None and bool(g.any())}
