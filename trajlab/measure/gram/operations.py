"""Operations on the graph that parameters go into, and the inputs that the graph has saved."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node


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
