"""DeepLabv3, as a trunk that begins from random weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trajlab.training.residual import convolution, dilated_resnet


def deeplab_v3(blocks: Sequence[int] = (3, 4, 23, 3)) -> nn.Sequential:
    """Return DeepLabv3 up to its last layer.

    Parameters
    ----------
    blocks
        Of each stage of the residual network below it; by default ResNet-101.

    Returns
    -------
    nn.Sequential
        From ``(n, 3, height, width)`` to ``(n, 256, height / 8, width / 8)``. In training n is 2
        or more: batch normalization of its pooled branch has one value an image.

    References
    ----------
    Chen et al. (2017), Rethinking atrous convolution for semantic image segmentation,
    arXiv:1706.05587.
    """
    return nn.Sequential(
        dilated_resnet(blocks),
        Pyramid(2048, 256, (12, 24, 36)),
        nn.Dropout(0.5),
        *convolution(256, 256, 3),
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
            nn.Sequential(*convolution(inputs, outputs, size, dilation=dilation), nn.ReLU())
            for size, dilation in shapes
        )
        self.pooled = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), *convolution(inputs, outputs, 1), nn.ReLU()
        )
        joined = (len(shapes) + 1) * outputs
        self.last = nn.Sequential(*convolution(joined, outputs, 1), nn.ReLU())

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps ``(n, outputs, height, width)``."""
        whole = interpolate(self.pooled(maps), maps.shape[2:])
        joined: Tensor = self.last(torch.cat([*(one(maps) for one in self.branches), whole], 1))
        return joined
