"""A run's score as a function of its training loss.

A run's training loss is not monotone (it rises in a fifth of FashionMTL's epochs), so the score as
a function of the loss needs a rule. Each rule turns evaluations into a :class:`Curve`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.levels import WIDEST_HOLE
from trajlab.analysis.statistics.intervals import FloatArray

BINS_PER_DECADE = 10
_SAME_LEVEL = 1e-9  # decades


@dataclass(frozen=True)
class Curve:
    """Score as a function of training loss: linear in log loss between knots.

    Attributes
    ----------
    log_loss
        (k,) increasing log10 of the training loss.
    score
        (k, …) the score there, of the run or of each test item.
    """

    log_loss: FloatArray
    score: FloatArray

    @property
    def lowest(self) -> float:
        """The lowest log loss on it, NaN of an empty curve."""
        return float(self.log_loss[0]) if self.log_loss.size else np.nan

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest log loss on it; of an empty curve nothing lies between."""
        if not self.log_loss.size:
            return np.inf, -np.inf
        return float(self.log_loss[0]), float(self.log_loss[-1])

    def at(self, log_loss: npt.ArrayLike) -> FloatArray:
        """Return the score at `log_loss`, NaN outside the curve: never extrapolated."""
        points = np.asarray(log_loss, float)
        if not self.log_loss.size:
            return np.full(points.shape + self.score.shape[1:], np.nan)
        knots = np.arange(self.log_loss.size)
        place = np.asarray(np.interp(points, self.log_loss, knots, left=np.nan, right=np.nan))
        below = np.nan_to_num(np.floor(place)).astype(np.intp)
        above = np.minimum(below + 1, knots[-1])
        share = (place - below).reshape(place.shape + (1,) * (self.score.ndim - 1))
        return np.asarray((1 - share) * self.score[below] + share * self.score[above])


Rule = Callable[[Evaluations], Curve]
Made = TypeVar("Made")


def _once(rule: Callable[[Evaluations], Made]) -> Callable[[Evaluations], Made]:
    """Let a rule read the same evaluations once; what it made is kept as long as they are."""
    known: WeakKeyDictionary[Evaluations, Made] = WeakKeyDictionary()

    @wraps(rule)
    def read(evaluations: Evaluations) -> Made:
        if evaluations not in known:
            known[evaluations] = rule(evaluations)
        return known[evaluations]

    return read


@_once
def isotonic(evaluations: Evaluations) -> Curve:
    """Decreasing isotonic regression of log loss over steps; mean log loss and score a block."""
    placed = evaluations.placed
    log_loss = np.log10(placed.train_loss)
    fitted = _fitted(evaluations)
    # Levels that differ by rounding alone are one block: a curve has no two knots at one loss.
    starts = np.flatnonzero(np.diff(fitted, prepend=np.inf) < -_SAME_LEVEL)
    means = [_block_means(values, starts) for values in (log_loss, placed.score)]
    return Curve(means[0][::-1], means[1][::-1])


@_once
def _fitted(evaluations: Evaluations) -> FloatArray:
    return _decreasing(np.log10(evaluations.placed.train_loss))


def _decreasing(values: FloatArray) -> FloatArray:
    """Pool neighbours that rise: the closest decreasing values, by least squares.

    What `scipy.optimize.isotonic_regression` does; loading that takes half a second.
    """
    means: list[float] = []
    sizes: list[int] = []
    for value in values.tolist():
        means.append(value)
        sizes.append(1)
        while len(means) > 1 and means[-2] <= means[-1]:
            of_last, size = means.pop(), sizes.pop()
            means[-1] += (of_last - means[-1]) * size / (sizes[-1] + size)
            sizes[-1] += size
    return np.repeat(means, sizes)


def passing_step(evaluations: Evaluations, log_loss: float) -> float:
    """Return the step from which the fitted decreasing loss is at most so low; NaN if never.

    Parameters
    ----------
    evaluations, log_loss
        The run, and log10 of the loss.
    """
    passed = np.flatnonzero(_fitted(evaluations) <= log_loss + _SAME_LEVEL)
    return float(evaluations.placed.step[passed[0]]) if passed.size else np.nan


@_once
def first_passage(evaluations: Evaluations) -> Curve:
    """Keep the evaluations at which the loss is lower than ever before.

    It picks lucky checkpoints: early jitter of loss and score is correlated, which biases the gap
    by up to .16 points on the reference trajectories.
    """
    evaluations = evaluations.placed
    log_loss = np.log10(evaluations.train_loss)
    best_before = np.minimum.accumulate(np.append(np.inf, log_loss[:-1]))
    keep = log_loss < best_before
    return Curve(log_loss[keep][::-1], evaluations.score[keep][::-1])


@_once
def last_passage(evaluations: Evaluations) -> Curve:
    """Keep the evaluations after which the loss is lower for good, or higher for good.

    Where the loss rises again to its end, the last time that it passes a loss below the end is on
    the way up. Together with :func:`first_passage` it brackets what a rule may read at a loss.
    """
    evaluations = evaluations.placed
    log_loss = np.log10(evaluations.train_loss)
    after = log_loss[:0:-1]  # from the end back to the second
    worst = np.append(np.maximum.accumulate(after)[::-1], -np.inf)
    least = np.append(np.minimum.accumulate(after)[::-1], np.inf)
    kept = np.flatnonzero((log_loss > worst) | (log_loss < least))
    order = kept[np.argsort(log_loss[kept], kind="stable")]
    return Curve(log_loss[order], evaluations.score[order])


@_once
def bins(evaluations: Evaluations) -> Curve:
    """Mean log loss and score of the evaluations in each tenth of a decade of loss."""
    evaluations = evaluations.placed
    log_loss = np.log10(evaluations.train_loss)
    place = np.floor(log_loss * BINS_PER_DECADE)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-np.inf))
    means = [_block_means(values[order], starts) for values in (log_loss, evaluations.score)]
    return Curve(means[0], means[1])


def _block_means(values: FloatArray, starts: npt.NDArray[np.intp]) -> FloatArray:
    """Return the means of rows from each start to the next."""
    sums = np.add.reduceat(values, starts, axis=0)
    sizes = np.diff(np.append(starts, len(values)))
    return np.asarray(sums / sizes.reshape(-1, *(1,) * (values.ndim - 1)))


RULES: dict[str, Rule] = {
    "isotonic": isotonic,
    "first_passage": first_passage,
    "bins": bins,
}


def in_hole(log_loss: npt.ArrayLike, group: Sequence[Evaluations]) -> npt.NDArray[np.bool_]:
    """Return where a group's neighbouring evaluations lie more than half a decade apart.

    The evaluations of all runs of the group count, because the curve compared is the group's mean:
    between two of them everything would be interpolation.

    Parameters
    ----------
    log_loss
        (g,) where to look.
    group
        The runs of one group.
    """
    points = np.asarray(log_loss, float)
    known = np.sort(np.log10(np.concatenate([run.placed.train_loss for run in group])))
    if not known.size:
        return np.zeros(points.shape, bool)
    above = np.searchsorted(known, points)
    upper = np.minimum(above, known.size - 1)
    width = known[upper] - known[np.maximum(above - 1, 0)]  # 0 outside of all evaluations
    return np.asarray((width > WIDEST_HOLE) & (known[upper] != points))
