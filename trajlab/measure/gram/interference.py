"""Code of others that a backward pass may run: what it does, no measurement can foresee."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.utils.hooks import RemovableHandle

from trajlab.measure.graph import Graph

_HIDING = {"CopySlices"}  # holds another node, of which nothing can be seen
_PLAIN = (Tensor, nn.Parameter)


class Interference:
    """Tells, graph after graph, whether nothing but torch's own operations runs in a backward.

    Torch's own backward functions are linear in the gradient, draw no random numbers and change no
    state. Others' code may do anything, and another thing at each step: hooks on tensors, nodes or
    modules, functions and tensors that are written in Python, and saved tensors that are packed
    (a checkpoint computes them once more).

    Torch lists the hooks on leaves alone. But it numbers all hooks that are registered in Python,
    and all nodes: where no hook was registered since the last graph, and no node is older than
    that look, there is none on the nodes.
    """

    _own = 0  # hooks that we have registered, of all watches

    def __init__(self) -> None:
        self._hooks: int | None = None
        self._nodes = 0
        self._hooked_leaf = True

    @classmethod
    def count_own(cls, number: int) -> None:
        """Note that so many hooks were registered that only look."""
        cls._own += number

    def excluded(self, graph: Graph, losses: Iterable[Tensor | None]) -> bool:
        """Say whether a backward pass through a graph is torch's own alone.

        Parameters
        ----------
        graph : Graph
            Graph of the losses.
        losses : iterable of Tensor or None
            Those losses.

        Returns
        -------
        bool
            False where it is not known, as of the first graph.
        """
        hooks, nodes = self._hooks, self._nodes
        self._nodes = torch._C._autograd._get_sequence_nr()
        if hooks != (registered := RemovableHandle.next_id - Interference._own):
            self._hooked_leaf = any(map(_is_watched, graph))
            self._hooks = registered
        return (
            hooks == registered
            and not self._hooked_leaf
            and all(loss is None or type(loss) is Tensor for loss in losses)
            and all(_is_own(node, nodes) for node in graph)
        )


def _is_own(node: Node, since: int) -> bool:
    """Say whether a node is torch's own, and new or a leaf, with nothing of others on it."""
    names = _saved(type(node))
    if names is None:
        return False
    leaf = getattr(node, "variable", None)
    if leaf is not None:
        return type(leaf) in _PLAIN and not leaf._backward_hooks
    return node._sequence_nr() >= since and not any(_is_packed(getattr(node, n)) for n in names)


@cache
def _saved(kind: type) -> Sequence[str] | None:
    """Return the names of what a node of torch's own saves; None for others' nodes."""
    if getattr(torch._C._functions, kind.__name__, None) is not kind or kind.__name__ in _HIDING:
        return None
    return [name for name in dir(kind) if name.startswith("_raw_saved_")]


def _is_packed(saved: Any) -> bool:
    """Say whether saved tensors are packed; older versions of torch do not tell."""
    if isinstance(saved, tuple):
        return any(map(_is_packed, saved))
    return getattr(saved, "unpack_hook", saved) is not None


def _is_watched(node: Node) -> bool:
    """Say whether a leaf's node, which outlives its graph, has hooks before it."""
    if not hasattr(node, "variable"):
        return False
    handle = node.register_prehook(lambda passed: None)
    Interference.count_own(1)
    hooks = handle.hooks_dict_ref()
    handle.remove()
    return bool(hooks)
