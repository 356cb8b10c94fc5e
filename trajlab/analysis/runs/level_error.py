"""How much the error of the training loss itself changes a score that is read at a loss.

A loss measured on a part of the training set, which all runs of a side share, is off by as much in
all of them: their spread does not tell of it. Where the error was recorded, intervals at equal loss
hold it too.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trajlab.analysis.runs.curve import Rule
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.statistics.intervals import FloatArray


def level_effects(
    groups: Sequence[Sequence[Evaluations]], rule: Rule, log_loss: npt.ArrayLike
) -> FloatArray | None:
    """Return what one standard error of each side's losses changes its mean score by.

    Parameters
    ----------
    groups
        The runs of each side; those without a recorded error are taken for exact.
    rule
        How a score is read at a loss.
    log_loss
        (g,) or one: where.

    Returns
    -------
    (side, …) array or None
        None where no run recorded an error.
    """
    if all(run.level_error is None for group in groups for run in group):
        return None
    points = np.asarray(log_loss, float)
    return np.array(
        [np.mean([_effect(run, rule, points) for run in group], axis=0) for group in groups]
    )


def lowest_error(group: Sequence[Evaluations], rule: Rule) -> float:
    """Return the standard error of the mean of log10 of the runs' lowest losses.

    Parameters
    ----------
    group, rule
        As in :func:`level_effects`.
    """
    return float(np.mean([_error(run, np.asarray(rule(run).lowest)) for run in group]))


def _error(run: Evaluations, points: FloatArray) -> FloatArray:
    """Return the error of the run's losses around points."""
    placed = run.placed
    if placed.level_error is None or not placed.step.size:
        return np.zeros(points.shape)
    log_loss = np.log10(placed.train_loss)
    order = np.argsort(log_loss, kind="stable")
    return np.asarray(np.interp(points, log_loss[order], placed.level_error[order]))


def _effect(run: Evaluations, rule: Rule, points: FloatArray) -> FloatArray:
    """Return the slope of the run's curve over one error to either side, times the error."""
    curve, error = rule(run), _error(run, points)
    low, high = (np.clip(points + side * error, *curve.ends) for side in (-1, 1))
    apart = high - low
    rise = curve.at(high) - curve.at(low)
    slope = np.divide(rise, apart, out=np.zeros_like(rise), where=apart > 0)
    return np.asarray(slope * error)
