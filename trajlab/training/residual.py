"""Residual networks, as trunks that begin from random weights."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

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
    stem = nn.Sequential(*_convolution(3, 64, 3), nn.ReLU()) if small else _stem()
    return _initialised(
        nn.Sequential(
            stem, *_stages(_basic, (2, 2, 2, 2), 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
    )


def deeplab_v3(blocks: Sequence[int] = (3, 4, 23, 3)) -> nn.Sequential:
    """Return DeepLabv3 up to its last layer, on a residual network with bottlenecks.

    Parameters
    ----------
    blocks
        Of each of the four stages; by default those of ResNet-101. The last two keep the size and
        dilate instead.

    Returns
    -------
    nn.Sequential
        From ``(n, 3, height, width)`` to ``(n, 256, height / 8, width / 8)``. Batch normalization
        of its pooled branch needs two images or more in training.

    References
    ----------
    Chen et al. (2017), Rethinking atrous convolution for semantic image segmentation,
    arXiv:1706.05587.
    """
    backbone = nn.Sequential(_stem(), *_stages(_bottleneck, blocks, 4, dilate=True))
    return nn.Sequential(
        _initialised(backbone),
        Pyramid(2048, 256, (12, 24, 36)),
        nn.Dropout(0.5),
        *_convolution(256, 256, 3),
        nn.ReLU(),
    )


class Pyramid(nn.Module):
    """Convolutions of several dilations and the mean of the image, side by side.

    Parameters
    ----------
    inputs, outputs
        Numbers of channels.
    dilations
        Of the convolutions of 3 × 3, beside one of 1 × 1.
    """

    def __init__(self, inputs: int, outputs: int, dilations: Sequence[int]) -> None:
        super().__init__()
        shapes = [(1, 1), *((3, dilation) for dilation in dilations)]
        self.branches = nn.ModuleList(
            nn.Sequential(*_convolution(inputs, outputs, size, dilation=dilation), nn.ReLU())
            for size, dilation in shapes
        )
        self.pooled = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), *_convolution(inputs, outputs, 1), nn.ReLU()
        )
        joined = (len(shapes) + 1) * outputs
        self.last = nn.Sequential(*_convolution(joined, outputs, 1), nn.ReLU())

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps ``(n, outputs, height, width)``."""
        whole = interpolate(self.pooled(maps), maps.shape[2:])
        joined: Tensor = self.last(torch.cat([*(one(maps) for one in self.branches), whole], 1))
        return joined


def _convolution(
    inputs: int, outputs: int, size: int, stride: int = 1, dilation: int = 1
) -> list[nn.Module]:
    padding = dilation * (size // 2)
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def _stem() -> nn.Sequential:
    return nn.Sequential(*_convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))


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
    return nn.Sequential(*_convolution(inputs, outputs, 1, stride))


def _basic(inputs: int, width: int, stride: int, dilation: int) -> Residual:
    body = nn.Sequential(
        *_convolution(inputs, width, 3, stride, dilation),
        nn.ReLU(),
        *_convolution(width, width, 3, dilation=dilation),
    )
    return Residual(body, _shortcut(inputs, width, stride))


def _bottleneck(inputs: int, width: int, stride: int, dilation: int) -> Residual:
    body = nn.Sequential(
        *_convolution(inputs, width, 1),
        nn.ReLU(),
        *_convolution(width, width, 3, stride, dilation),
        nn.ReLU(),
        *_convolution(width, 4 * width, 1),
    )
    return Residual(body, _shortcut(inputs, 4 * width, stride))


def _initialised(network: nn.Sequential) -> nn.Sequential:
    """Draw the convolutions' weights anew as He et al. do (2015, arXiv:1502.01852)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network
