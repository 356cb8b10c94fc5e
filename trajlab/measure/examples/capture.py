"""Layers' calls: what went in, and where on the graph the output came out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.nn.modules.module import (
    _global_forward_hooks_with_kwargs,
    register_module_forward_hook,
)
from torch.utils._pytree import TreeSpec, tree_flatten


@dataclass(frozen=True)
class Call:
    """One pass of a batch through a layer.

    Attributes
    ----------
    module : nn.Module
        The layer.
    arguments : tuple
        All that its forward pass was given, positional and by keyword, flat; tensors detached.
    structure : TreeSpec
        How ``((positional, …), {keyword: …})`` is made of them.
    inputs : frozenset of Node
        Nodes of the graph that made the arguments.
    output : GradientEdge
        Where the gradient of its first output arrives: ``torch.autograd.grad(loss, [call.output])``
        gives it. (The output tensor itself would not do: after an in-place activation it stands for
        the activation's result.)
    further : tuple of GradientEdge
        The same of its other outputs.
    value : Tensor
        The first output, detached.
    versions : tuple of int
        How often the arguments and the output had been written when they were caught.
    """

    module: nn.Module
    arguments: tuple[Any, ...]
    structure: TreeSpec
    inputs: frozenset[Node]
    output: GradientEdge
    further: tuple[GradientEdge, ...]
    value: Tensor
    versions: tuple[int, ...]

    @property
    def input(self) -> Tensor:
        """The first tensor among the arguments."""
        return next(leaf for leaf in self.arguments if isinstance(leaf, Tensor))

    @property
    def shape(self) -> torch.Size:
        """Shape of the first output."""
        return self.value.shape

    def written(self) -> tuple[bool, bool]:
        """Say whether an argument, and whether the output, was written since it was caught."""
        *arguments, output = _versions([*self.arguments, self.value])
        return tuple(arguments) != self.versions[:-1], output != self.versions[-1]


class Capture:
    """Catches the latest call of each watched layer while it is open.

    Only calls that autograd follows count: not those under ``no_grad``, nor the inside of a
    reentrant checkpoint. The hook is torch's global one, so that nothing is attached to the model:
    copies and checkpoints of it stay clean, and fused inference paths stay on. It comes before the
    hooks that a user put on a layer, and so sees what the layer's forward pass gave.

    Parameters
    ----------
    modules : mapping of str to nn.Module
        The modules to watch, by name.

    Attributes
    ----------
    calls : dict of str to Call
        The latest call of each layer that was called; they hold the graph until `clear`.

    Examples
    --------
    >>> layer = torch.nn.Linear(3, 2)
    >>> with Capture({"layer": layer}) as capture:
    ...     loss = layer(torch.ones(5, 3)).sum()
    >>> call = capture.calls["layer"]
    >>> (gradient,) = torch.autograd.grad(loss, [call.output], retain_graph=True)
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.calls: dict[str, Call] = {}
        self._modules = dict(modules)  # as long as they live, no other has their identity
        self._names = {id(module): name for name, module in modules.items()}
        self._hook: Any = None

    def open(self) -> None:
        """Forget earlier calls, and catch from now on."""
        self.clear()
        if self._hook is None and self._names:
            self._hook = register_module_forward_hook(self._catch, with_kwargs=True)

    def close(self) -> None:
        """Catch no more; the calls stay."""
        if self._hook is not None:
            self._hook.remove()
            # torch leaves this entry behind, and warns of global hooks whenever it compiles
            _global_forward_hooks_with_kwargs.pop(self._hook.id, None)
            self._hook = None

    def clear(self) -> None:
        """Forget the calls, and with them the graph they hold."""
        self.calls = {}

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _catch(
        self, module: nn.Module, positional: tuple[Any, ...], keywords: dict[str, Any], output: Any
    ) -> None:
        name = self._names.get(id(module))
        if name is None or not torch.is_grad_enabled():
            return
        first, *further = tree_flatten(output)[0] or [None]
        leaves, structure = tree_flatten((positional, keywords))
        if (
            not isinstance(first, Tensor)
            or first.grad_fn is None
            or not any(isinstance(leaf, Tensor) for leaf in leaves)
        ):
            return
        arguments = tuple(leaf.detach() if isinstance(leaf, Tensor) else leaf for leaf in leaves)
        value = first.detach()
        self.calls[name] = Call(
            module,
            arguments,
            structure,
            frozenset(edge.node for edge in _edges(leaves)),
            get_gradient_edge(first),
            tuple(_edges(further)),
            value,
            tuple(_versions([*arguments, value])),
        )


def _edges(leaves: list[Any]) -> Iterator[GradientEdge]:
    for leaf in leaves:
        if isinstance(leaf, Tensor) and leaf.requires_grad:
            yield get_gradient_edge(leaf)


def _versions(leaves: list[Any]) -> Iterator[int]:
    for leaf in leaves:
        counted = isinstance(leaf, Tensor) and not leaf.is_inference()
        yield leaf._version if counted else 0
