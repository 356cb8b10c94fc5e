"""Digits: the FashionMTL design of Mueller et al. (2024) in small, on scikit-learn's digits.

The first task classifies one random half of the training images. The second task, if there is
one, has the other half: with its true labels (``+same``) or with permuted ones (``+noisy``).
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from trajlab.training.conditions import Conditions
from trajlab.training.metrics import accuracy, correct
from trajlab.training.models import PLAIN, Shape, mlp
from trajlab.training.setting import (
    MultiTaskModel,
    Problem,
    Setting,
    Split,
    Task,
    seeded,
)

_HALF = 300
_TEST = 600
_CLASSES = 10
_TEST_SEED = 0  # one test set for all runs: differences between runs are then the training's


def _images() -> tuple[Tensor, Tensor]:
    inputs, targets = load_digits(return_X_y=True)
    return torch.tensor(inputs / 16, dtype=torch.float32), torch.tensor(targets)


def _build(condition: str, seed: int, root: Path | None = None, shape: Shape = PLAIN) -> Problem:
    inputs, targets = _images()
    held_out = np.random.default_rng(_TEST_SEED).permutation(len(targets))
    rng = np.random.default_rng(seed)
    pool = rng.permutation(held_out[_TEST:])
    first, second, rest = np.split(pool, [_HALF, 2 * _HALF])
    validation = np.array_split(rest, 2)

    def split(rows: np.ndarray) -> Split:
        return inputs[rows], targets[rows]

    def task(train: Split, validation_rows: np.ndarray) -> Task:
        splits = {
            "train": train,
            "validation": split(validation_rows),
            "test": split(held_out[:_TEST]),
        }
        loss = nn.CrossEntropyLoss(reduction="none")
        return Task(splits, loss, {"accuracy": accuracy}, correct)

    tasks = {"first": task(split(first), validation[0])}
    if condition:
        train_inputs, train_targets = split(second)
        if condition == "+noisy":
            train_targets = train_targets[torch.from_numpy(rng.permutation(_HALF))]
        tasks["second"] = task((train_inputs, train_targets), validation[1])

    trunk = seeded(lambda: mlp(64, shape=shape), seed)
    heads = {
        name: seeded(lambda: nn.Linear(shape.units(64), _CLASSES), 1000 * seed + index)
        for index, name in enumerate(tasks)
    }
    return Problem(tasks, MultiTaskModel(trunk, heads))


digits = Setting(
    Conditions(
        "digits",
        {"": ("first",), "+same": ("first", "second"), "+noisy": ("first", "second")},
    ),
    _build,
    shapes=True,
    source="sklearn.datasets.load_digits: 1,797 images of 8 x 8 pixels (UCI, CC BY 4.0)",
)
