"""Models that several tests train or measure."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# of a transformer of the package transformers
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def two_layers(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, width), nn.ReLU())


class TwoHeads(nn.Module):
    """A trunk and two linear heads, `left` and `right`; a seed gives the same weights.

    Parameters
    ----------
    width : int
        Width of the trunk's output.
    trunk : callable
        Makes the trunk of a given width.
    outputs : tuple of int
        Widths of the heads' outputs.
    seed : int
        Seed of the weights.
    """

    def __init__(
        self,
        width: int = 8,
        trunk: Callable[[int], nn.Module] = two_layers,
        outputs: tuple[int, int] = (3, 3),
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.trunk = trunk(width)
        self.left, self.right = (nn.Linear(width, output) for output in outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.trunk(x)
        return self.left(z), self.right(z)


class Cube(torch.autograd.Function):
    """The cube; its backward has a forward derivative but none of its own."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x**3

    @staticmethod
    def setup_context(context: Any, inputs: Any, output: Any) -> None:
        context.save_for_backward(*inputs)
        context.save_for_forward(*inputs)

    @staticmethod
    def backward(context: Any, slope: Tensor) -> Tensor:
        return CubeSlope.apply(context.saved_tensors[0], slope)

    @staticmethod
    def jvp(context: Any, tangent: Tensor) -> Tensor:
        return 3 * context.saved_tensors[0] ** 2 * tangent


class CubeSlope(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, slope: Tensor) -> Tensor:
        return 3 * x**2 * slope

    @staticmethod
    def setup_context(context: Any, inputs: Any, output: Any) -> None:
        context.save_for_forward(*inputs)

    @staticmethod
    def jvp(context: Any, tangent: Tensor, slope_tangent: Tensor) -> Tensor:
        x, slope = context.saved_tensors
        return 6 * x * slope * tangent + 3 * x**2 * slope_tangent
