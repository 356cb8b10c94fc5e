"""Trunks that several settings share."""

from torch import nn

from trajlab.training.pooling import MaxPool2d


def lenet(channels: int = 1) -> nn.Sequential:
    """Return LeNet-5 with ReLU and max pooling, up to its last hidden layer.

    Parameters
    ----------
    channels
        Of the input images of 28 × 28 pixels.

    Returns
    -------
    nn.Sequential
        From ``(n, channels, 28, 28)`` to ``(n, 84)``.

    References
    ----------
    LeCun et al. (1998), Gradient-based learning applied to document recognition.
    """
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2),
        nn.ReLU(),
        MaxPool2d(),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        MaxPool2d(),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
    )


def mlp(features: int, width: int = 64) -> nn.Sequential:
    """Return two hidden layers with ReLU.

    Parameters
    ----------
    features
        Of an input.
    width
        Of both layers.
    """
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
