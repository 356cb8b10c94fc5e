"""FashionMTL of Mueller et al. (2024): halves of Fashion-MNIST as tasks of their own.

The first task classifies 25,000 images. The second has another 25,000 of Fashion-MNIST with
their labels (``+fashion``) or with permuted ones (``+noisy``), or 25,000 digits of MNIST
(``+other``, in place of the paper's NotMNIST). As a control, ``pooled`` is the first task with both
halves of Fashion-MNIST, 50,000 images.
"""

from pathlib import Path

import numpy as np
from torch import nn

from trajlab.training.conditions import Conditions
from trajlab.training.data import FASHION_MNIST, MNIST, images
from trajlab.training.models import PLAIN, Shape, lenet
from trajlab.training.setting import MultiTaskModel, Problem, Setting, seeded
from trajlab.training.settings.images import ten_classes

_TRAIN = 25_000
_VALIDATION = 5_000
_CLASSES = 10
_FEATURES = 84


def _build(condition: str, seed: int, root: Path | None = None, shape: Shape = PLAIN) -> Problem:
    names = _tasks(condition)
    fashion = images(FASHION_MNIST, root)
    rng = np.random.default_rng(seed)
    first, second = np.split(rng.permutation(2 * (_TRAIN + _VALIDATION)), 2)
    train, validation = first[:_TRAIN], first[_TRAIN:]
    if condition == "pooled":
        train = np.concatenate((train, second[:_TRAIN]))
    tasks = {"first": ten_classes(fashion, train, validation)}
    if condition == "+other":
        digits = images(MNIST)
        rows = rng.permutation(len(digits["train"][1]))[: _TRAIN + _VALIDATION]
        tasks["second"] = ten_classes(digits, rows[:_TRAIN], rows[_TRAIN:])
    elif len(names) == 2:
        order = rng.permutation(_TRAIN) if condition == "+noisy" else None
        tasks["second"] = ten_classes(fashion, second[:_TRAIN], second[_TRAIN:], order)
    trunk = seeded(lambda: lenet(shape=shape), seed)
    heads = {
        name: seeded(lambda: nn.Linear(shape.units(_FEATURES), _CLASSES), 1000 * seed + index)
        for index, name in enumerate(names)
    }
    return Problem(tasks, MultiTaskModel(trunk, heads))


_tasks = Conditions(
    "FashionMTL",
    {
        "": ("first",),
        "pooled": ("first",),
        "+fashion": ("first", "second"),
        "+noisy": ("first", "second"),
        "+other": ("first", "second"),
    },
)
fashion_mtl = Setting(
    _tasks,
    _build,
    shapes=True,
    source="Fashion-MNIST (Xiao et al. 2017, MIT); MNIST (LeCun et al. 1998)",
    defaults={"epochs": 99},
)
