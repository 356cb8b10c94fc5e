"""Residual networks, as trunks that begin from random weights."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Block = Callable[[int, int, int, int], "Residual"]


class Residual(nn.Module):
    """ReLU of a body plus a shortcut.

    Parameters
    ----------
    body, shortcut
        From the same input to maps of one shape.
    """

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps ``(n, channels, height, width)``."""
        return torch.relu(self.body(maps) + self.shortcut(maps))


def resnet18(*, small: bool = False) -> nn.Sequential:
    """Return ResNet-18 up to its last layer.

    Parameters
    ----------
    small
        Whether it is for images of about 32 × 32 pixels: it then begins with a convolution of
        3 × 3 at full size, in place of one of 7 × 7 and a pooling that leave a quarter of it.

    Returns
    -------
    nn.Sequential
        From ``(n, 3, height, width)`` to ``(n, 512)``.

    References
    ----------
    He et al. (2016), Deep residual learning for image recognition, CVPR.
    """
    stem = nn.Sequential(*convolution(3, 64, 3), nn.ReLU()) if small else _stem()
    return _initialised(
        nn.Sequential(
            stem, *_stages(_basic, (2, 2, 2, 2), 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
    )


def dilated_resnet(blocks: Sequence[int]) -> nn.Sequential:
    """Return a residual network of bottlenecks whose last two stages dilate and keep their size.

    Parameters
    ----------
    blocks
        Of each of the four stages: ``(3, 4, 23, 3)`` is ResNet-101.

    Returns
    -------
    nn.Sequential
        From ``(n, 3, height, width)`` to ``(n, 2048, height / 8, width / 8)``.
    """
    return _initialised(nn.Sequential(_stem(), *_stages(_bottleneck, blocks, 4, dilate=True)))


def convolution(
    inputs: int, outputs: int, size: int, stride: int = 1, dilation: int = 1
) -> list[nn.Module]:
    """Return a convolution that keeps the size, or divides it by its stride, and normalization.

    Parameters
    ----------
    inputs, outputs
        Numbers of channels.
    size, stride, dilation
        Of the kernel.
    """
    padding = dilation * (size // 2)
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def _stem() -> nn.Sequential:
    return nn.Sequential(*convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))


def _stages(
    block: Block, blocks: Sequence[int], expansion: int, *, dilate: bool = False
) -> list[nn.Module]:
    """Return four stages; each but the first halves the size, or, late ones, dilates instead."""
    stages: list[nn.Module] = []
    inputs, dilation = 64, 1
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        own, stride = dilation, 1 if stage == 0 or (dilate and stage > 1) else 2
        dilation *= 2 if dilate and stage > 1 else 1
        first = block(inputs, width, stride, own)
        inputs = width * expansion
        stages.append(
            nn.Sequential(first, *(block(inputs, width, 1, dilation) for _ in range(count - 1)))
        )
    return stages


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(*convolution(inputs, outputs, 1, stride))


def _basic(inputs: int, width: int, stride: int, dilation: int) -> Residual:
    body = nn.Sequential(
        *convolution(inputs, width, 3, stride, dilation),
        nn.ReLU(),
        *convolution(width, width, 3, dilation=dilation),
    )
    return Residual(body, _shortcut(inputs, width, stride))


def _bottleneck(inputs: int, width: int, stride: int, dilation: int) -> Residual:
    body = nn.Sequential(
        *convolution(inputs, width, 1),
        nn.ReLU(),
        *convolution(width, width, 3, stride, dilation),
        nn.ReLU(),
        *convolution(width, 4 * width, 1),
    )
    return Residual(body, _shortcut(inputs, 4 * width, stride))


def _initialised(network: nn.Sequential) -> nn.Sequential:
    """Draw the convolutions' weights anew as He et al. do (2015, arXiv:1502.01852)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network
