"""Trunks that several settings share, and their size as a hyper-parameter."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from trajlab.errors import TrajlabError
from trajlab.training.pooling import MaxPool2d


@dataclass(frozen=True)
class Shape:
    """A trunk's size and dropout, relative to what its setting has.

    Attributes
    ----------
    width
        A factor of the number of channels and units of every layer.
    depth
        Layers in the place of each: a second and further ones have the first one's outputs as
        inputs too.
    dropout
        Share of hidden units set to 0 in training.

    Raises
    ------
    TrajlabError
        If there is no such network.
    """

    width: float = 1.0
    depth: int = 1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.width <= 0 or self.depth < 1 or not 0 <= self.dropout < 1:
            raise TrajlabError(
                f"width={self.width:g}, depth={self.depth}, dropout={self.dropout:g} is no "
                "network; give a width above 0, a depth above 0 and a dropout from 0 to below 1"
            )

    def units(self, plain: int) -> int:
        """Return how many units a layer has that plainly has so many; at least one."""
        return max(1, round(plain * self.width))

    def hidden(self, inputs: int, outputs: int) -> Iterator[nn.Module]:
        """Yield one of the setting's hidden layers, in its depth and with its dropout.

        Parameters
        ----------
        inputs, outputs
            Numbers of units as they are to be, width included.
        """
        for repetition in range(self.depth):
            yield from (nn.Linear(outputs if repetition else inputs, outputs), nn.ReLU())
        if self.dropout:
            yield nn.Dropout(self.dropout)

    def convolution(self, inputs: int, outputs: int, padding: int = 0) -> Iterator[nn.Module]:
        """Yield one of LeNet's convolutions of 5 × 5 in its depth; further ones keep the size."""
        for repetition in range(self.depth):
            first = repetition == 0
            yield nn.Conv2d(
                inputs if first else outputs, outputs, 5, padding=padding if first else 2
            )
            yield nn.ReLU()


PLAIN = Shape()


def one_number(features: int) -> nn.Sequential:
    """Return a head from features ``(n, features)`` to one number an example ``(n,)``."""
    return nn.Sequential(nn.Linear(features, 1), nn.Flatten(0))


def lenet(channels: int = 1, shape: Shape = PLAIN) -> nn.Sequential:
    """Return LeNet-5 with ReLU and max pooling, up to its last hidden layer.

    Parameters
    ----------
    channels
        Of the input images of 28 × 28 pixels.
    shape
        Its size; dropout is in the hidden layers after the convolutions.

    Returns
    -------
    nn.Sequential
        From ``(n, channels, 28, 28)`` to ``(n, 84)``, or ``shape.units(84)``.

    References
    ----------
    LeCun et al. (1998), Gradient-based learning applied to document recognition.
    """
    first, second = shape.units(6), shape.units(16)
    return nn.Sequential(
        *shape.convolution(channels, first, padding=2),
        MaxPool2d(),
        *shape.convolution(first, second),
        MaxPool2d(),
        nn.Flatten(),
        *shape.hidden(25 * second, shape.units(120)),
        *shape.hidden(shape.units(120), shape.units(84)),
    )


def mlp(features: int, width: int = 64, shape: Shape = PLAIN) -> nn.Sequential:
    """Return two hidden layers with ReLU.

    Parameters
    ----------
    features
        Of an input.
    width
        Of both layers.
    shape
        Their size.
    """
    units = shape.units(width)
    return nn.Sequential(*shape.hidden(features, units), *shape.hidden(units, units))
