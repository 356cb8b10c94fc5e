"""FashionMTL of Mueller et al. (2024): halves of Fashion-MNIST as tasks of their own.

The first task classifies 25,000 images. The second has another 25,000 of Fashion-MNIST with
their labels (``+fashion``) or with permuted ones (``+noisy``), or 25,000 digits of MNIST
(``+other``, in place of the paper's NotMNIST).
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trajlab.training.data import FASHION_MNIST, MNIST, Bytes, images
from trajlab.training.models import lenet
from trajlab.training.setting import MultiTaskModel, Problem, Setting, Split, Task, correct, seeded

_TRAIN = 25_000
_VALIDATION = 5_000
_CLASSES = 10
_FEATURES = 84


def _build(condition: str, seed: int, root: Path | None = None) -> Problem:
    fashion = images(FASHION_MNIST, root)
    rng = np.random.default_rng(seed)
    halves = np.split(rng.permutation(2 * (_TRAIN + _VALIDATION)), 2)
    tasks = {"first": _task(fashion, halves[0])}
    if condition == "+other":
        digits = images(MNIST)
        tasks["second"] = _task(digits, rng.permutation(len(digits["train"][1])))
    elif condition:
        order = rng.permutation(_TRAIN) if condition == "+noisy" else None
        tasks["second"] = _task(fashion, halves[1], order)
    trunk = seeded(lenet, seed)
    heads = {
        name: seeded(lambda: nn.Linear(_FEATURES, _CLASSES), 1000 * seed + index)
        for index, name in enumerate(tasks)
    }
    return Problem(tasks, MultiTaskModel(trunk, heads))


def _task(
    data: dict[str, tuple[Bytes, Bytes]], rows: np.ndarray, label_order: np.ndarray | None = None
) -> Task:
    """Split training rows into training and validation; normalise with the training images."""
    pixels, labels = data["train"]
    own = pixels[rows[:_TRAIN]]
    mean, std = float(own.mean()), float(own.std())

    def split(inputs: Bytes, targets: Bytes) -> Split:
        scaled: Tensor = (torch.from_numpy(inputs).float().unsqueeze(1) - mean) / std
        return scaled, torch.from_numpy(targets).long()

    train_labels = labels[rows[:_TRAIN]]
    validation = rows[_TRAIN : _TRAIN + _VALIDATION]
    splits = {
        "train": split(own, train_labels if label_order is None else train_labels[label_order]),
        "validation": split(pixels[validation], labels[validation]),
        "test": split(*(array.copy() for array in data["test"])),
    }
    return Task(splits, nn.CrossEntropyLoss(reduction="none"), {"accuracy": correct})


fashion_mtl = Setting(
    name="FashionMTL",
    conditions=("", "+fashion", "+noisy", "+other"),
    build=_build,
    source="Fashion-MNIST (Xiao et al. 2017, MIT); MNIST (LeCun et al. 1998)",
)
