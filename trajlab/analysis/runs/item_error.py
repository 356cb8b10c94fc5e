"""Which part of a difference each test item has: how much another test set would have changed it.

A score is read linearly (means, and lines between them), so what is read of a run can be read of
each item of its test set alike. The spread of these readings over items is what intervals over runs
leave out, for all runs are measured on the same items.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.statistics.intervals import FloatArray

_UNITS = (1.0, 100.0)  # an accuracy is a share or a percentage
_ROUNDING = 1e-3  # of the unit


def item_differences(
    runs: Sequence[Evaluations],
    baseline: Sequence[Evaluations],
    read: Callable[[Evaluations], FloatArray],
) -> FloatArray | None:
    """Return the difference of two groups of runs in each item of their common test set.

    Parameters
    ----------
    runs, baseline
        The runs of each group.
    read
        What is read of a run, linear in its scores.

    Returns
    -------
    (…, item) array or None
        Its mean over items is the difference itself. None where bits are missing, test sets differ
        in size, or the score is not the share of right items.
    """
    if not (unit := item_unit([*runs, *baseline])):
        return None
    means = [
        sum(read(_by_item(run, unit)) for run in side) / len(side) for side in (runs, baseline)
    ]
    return np.asarray(means[0] - means[1])


def item_unit(runs: Sequence[Evaluations]) -> float:
    """Return what a share of 1 is in the scores, 1 or 100; 0 if they are not shares of items."""
    if any(run.correct is None for run in runs) or len({_items(run) for run in runs}) != 1:
        return 0.0
    return next((unit for unit in _UNITS if all(_counts(run, unit) for run in runs)), 0.0)


def _items(run: Evaluations) -> int:
    return 0 if run.correct is None else run.correct.shape[1]


def _counts(run: Evaluations, unit: float) -> bool:
    """Tell whether a score is the share of items that are right, or of those that are wrong."""
    share = np.empty(0) if run.correct is None else run.correct.mean(axis=1)
    apart = run.score - unit * share
    return any(np.abs(apart + shift).max(initial=0) < _ROUNDING * unit for shift in (0.0, unit))


def _by_item(run: Evaluations, unit: float) -> Evaluations:
    """Return the run with the score of each item in place of their mean."""
    bits = np.asarray(np.empty((0, 0)) if run.correct is None else run.correct, float)
    return replace(run, score=unit * bits, correct=None)
