"""MNISTS: digits and clothes as two tasks with images of their own, through one LeNet."""

from pathlib import Path

import numpy as np
from torch import nn

from trajlab.training.conditions import Subsets
from trajlab.training.data import FASHION_MNIST, MNIST, images
from trajlab.training.models import PLAIN, Shape, lenet
from trajlab.training.setting import MultiTaskModel, Problem, Setting, seeded
from trajlab.training.settings.images import ten_classes

_VALIDATION = 10_000
_tasks = Subsets("mnists", ("fashion", "digits"))
_DATA = {"fashion": FASHION_MNIST, "digits": MNIST}


def _build(condition: str, seed: int, root: Path | None = None, shape: Shape = PLAIN) -> Problem:
    tasks, heads = {}, {}
    for name in _tasks(condition):
        index = _tasks.names.index(name)
        data = images(_DATA[name], root / _DATA[name].name if root else None)
        rows = np.random.default_rng([seed, index]).permutation(len(data["train"][1]))
        tasks[name] = ten_classes(data, rows[_VALIDATION:], rows[:_VALIDATION])
        heads[name] = seeded(lambda: nn.Linear(shape.units(84), 10), 1000 * seed + index)
    return Problem(tasks, MultiTaskModel(seeded(lambda: lenet(shape=shape), seed), heads))


mnists = Setting(
    _tasks,
    _build,
    shapes=True,
    source="Fashion-MNIST (Xiao et al. 2017, MIT); MNIST (LeCun et al. 1998); NotMNIST left out",
)
