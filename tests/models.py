"""Models that several tests train or measure."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


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
