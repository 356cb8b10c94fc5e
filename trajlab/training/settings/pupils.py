"""Settings whose tasks are groups of pupils: one score by the same features, each with its own."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from trajlab.training.models import Shape, mlp, one_number
from trajlab.training.regression import regression
from trajlab.training.setting import MultiTaskModel, Problem, seeded

_WIDTH = 64
_SHARES = (0.6, 0.8)  # of a group's pupils: up to here training, up to there validation


def problem(
    groups: Mapping[str, int],
    group_of: npt.ArrayLike,
    features: pd.DataFrame,
    score: pd.Series,
    seed: int,
    shape: Shape,
) -> Problem:
    """Return the tasks, each with the split that its own pupils have by its number and the seed.

    Parameters
    ----------
    groups
        Task to the number of its group.
    group_of, features, score
        (n,) the group of each pupil, (n, m) what is known of it, and (n,) what is to be told.
    seed, shape
        As a setting's problem takes them.
    """
    inputs = torch.from_numpy(features.to_numpy(np.float32))
    targets = torch.from_numpy(score.to_numpy(np.float32))
    tasks, heads = {}, {}
    for name, number in groups.items():
        pupils = np.flatnonzero(np.asarray(group_of) == number)
        order = np.random.default_rng([seed, number]).permutation(pupils)
        cuts = [round(share * len(order)) for share in _SHARES]
        parts = zip(("train", "validation", "test"), np.split(order, cuts), strict=True)
        tasks[name] = regression({split: (inputs[rows], targets[rows]) for split, rows in parts})
        heads[name] = seeded(lambda: one_number(shape.units(_WIDTH)), 1000 * seed + number)
    trunk = seeded(lambda: mlp(inputs.shape[1], _WIDTH, shape), seed)
    return Problem(tasks, MultiTaskModel(trunk, heads))
