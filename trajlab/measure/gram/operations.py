"""Operations on the graph that parameters go into, and the inputs that the graph has saved."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from trajlab.measure.graph import Graph

_LAYOUT = {"TBackward0", "ToCopyBackward0", "TransposeBackward0", "ViewBackward0"}


@dataclass(frozen=True)
class Operation:
    """The one operation on the graph that a parameter goes into.

    The graph is read, rather than layers' inputs caught in hooks: it tells what was computed
    however it was called, and nothing is attached to a model or compiled into it.

    Attributes
    ----------
    node : Node
        Its node; it has one output.
    operand : int
        The position of the parameter, up to its layout and precision, among the operands.
    """

    node: Node
    operand: int

    @property
    def kind(self) -> tuple[str, int]:
        """The operation and the parameter's role in it, such as ``("AddmmBackward0", 2)``."""
        return type(self.node).__name__, self.operand

    @property
    def output(self) -> GradientEdge:
        """Where the gradient of its output arrives."""
        return GradientEdge(self.node, 0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of its output."""
        return tuple(self.node._input_metadata[0].shape)

    def saved(self, name: str) -> Tensor | None:
        """Return an operand that the graph has saved for its backward, detached.

        None where it is packed, by a checkpoint or to be kept elsewhere: to unpack it may take a
        forward pass; and where it is no plain tensor of real numbers.
        """
        raw = getattr(self.node, f"_raw_saved_{name}")
        if getattr(raw, "unpack_hook", raw) is not None:  # older versions of torch do not tell
            return None
        tensor = cast(Tensor, getattr(self.node, f"_saved_{name}")).detach()
        plain = type(tensor) is Tensor and tensor.layout == torch.strided
        return tensor if plain and not tensor.is_complex() else None

    def setting(self, name: str) -> Any:
        """Return a number, flag or tuple that the graph has saved for its backward."""
        return getattr(self.node, f"_saved_{name}")


def only_use(graph: Graph, parameter: Tensor) -> Operation | None:
    """Return the one operation that a parameter goes into; None if there is not just one.

    On the way to it only its layout and its precision may change, which leave inner products of
    gradients as they are.

    Parameters
    ----------
    graph : Graph
        Graph of the losses.
    parameter : Tensor
        A leaf.
    """
    node = get_gradient_edge(parameter).node
    users = graph.users(node)
    while len(users) == 1 and type(users[0]).__name__ in _LAYOUT:
        node = users[0]
        if graph.is_loss(node):
            return None
        users = graph.users(node)
    if len(users) != 1:
        return None
    operands = [operand for operand, _ in users[0].next_functions]
    return Operation(users[0], operands.index(node))
