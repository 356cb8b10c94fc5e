"""Tasks of classifying images in MNIST's layout."""

import numpy as np
import torch
from torch import Tensor, nn

from trajlab.training.data import Bytes
from trajlab.training.metrics import accuracy, correct
from trajlab.training.setting import Split, Task


def ten_classes(
    data: dict[str, tuple[Bytes, Bytes]],
    train: np.ndarray,
    validation: np.ndarray,
    label_order: np.ndarray | None = None,
) -> Task:
    """Make a task of images and their classes; pixels are scaled by the training images.

    Parameters
    ----------
    data
        ``train`` and ``test``: images ``(n, height, width)`` and labels ``(n,)``.
    train, validation
        Rows of the former.
    label_order
        A permutation of the training labels, for a task of noise.
    """
    pixels, labels = data["train"]
    mean, std = float(pixels[train].mean()), float(pixels[train].std())

    def split(inputs: Bytes, targets: Bytes) -> Split:
        scaled: Tensor = (torch.from_numpy(inputs).float().unsqueeze(1) - mean) / std
        return scaled, torch.from_numpy(targets).long()

    trained = labels[train]
    splits = {
        "train": split(pixels[train], trained if label_order is None else trained[label_order]),
        "validation": split(pixels[validation], labels[validation]),
        "test": split(*(array.copy() for array in data["test"])),
    }
    return Task(splits, nn.CrossEntropyLoss(reduction="none"), {"accuracy": accuracy}, correct)
