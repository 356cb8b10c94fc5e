"""Scores of runs on several tasks, as the means over tasks take them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trajlab.analysis.statistics.intervals import FloatArray


class TaskScores(NamedTuple):
    """Scores of a group and its baseline, one a run and task.

    Attributes
    ----------
    score
        (n,) finite, in one unit.
    task
        (n,) names.
    treated
        (n,) whether the run is of the group, not of the baseline.
    run
        (n,) names; scores of one name are of one network.
    """

    score: FloatArray
    task: npt.ArrayLike
    treated: npt.NDArray[np.bool_]
    run: npt.ArrayLike
