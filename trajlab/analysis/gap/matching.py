"""Reading a run's score at a given training loss.

A run's training loss is not monotone (it rises in a fifth of FashionMTL's epochs), so the score as
a function of the loss needs a rule. Each rule turns evaluations into a :class:`Curve`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from trajlab.analysis.gap.item_error import item_differences
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.statistics.bands import simultaneous
from trajlab.analysis.statistics.difference import difference
from trajlab.analysis.statistics.intervals import Difference, FloatArray

POINTS_PER_DECADE = 20
BINS_PER_DECADE = 10
_SAME_LEVEL = 1e-9  # decades
WIDEST_HOLE = 0.5  # decades between neighbouring evaluations


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

    def at(self, log_loss: npt.ArrayLike) -> FloatArray:
        """Return the score at `log_loss`, NaN outside the curve: never extrapolated."""
        knots = np.arange(self.log_loss.size)
        points = np.asarray(log_loss, float)
        place = np.asarray(np.interp(points, self.log_loss, knots, left=np.nan, right=np.nan))
        below = np.nan_to_num(np.floor(place)).astype(np.intp)
        above = np.minimum(below + 1, knots[-1])
        share = (place - below).reshape(place.shape + (1,) * (self.score.ndim - 1))
        return np.asarray((1 - share) * self.score[below] + share * self.score[above])


def isotonic(evaluations: Evaluations) -> Curve:
    """Decreasing isotonic regression of log loss over steps; mean log loss and score a block."""
    log_loss = np.log10(evaluations.train_loss)
    fitted = isotonic_regression(log_loss, increasing=False).x
    # Levels that differ by rounding alone are one block: a curve has no two knots at one loss.
    starts = np.flatnonzero(np.diff(fitted, prepend=np.inf) < -_SAME_LEVEL)
    means = [_block_means(values, starts) for values in (log_loss, evaluations.score)]
    return Curve(means[0][::-1], means[1][::-1])


def first_passage(evaluations: Evaluations) -> Curve:
    """Keep the evaluations at which the loss is lower than ever before.

    It picks lucky checkpoints: early jitter of loss and score is correlated, which biases the gap
    by up to .16 points on the reference trajectories.
    """
    log_loss = np.log10(evaluations.train_loss)
    best_before = np.minimum.accumulate(np.append(np.inf, log_loss[:-1]))
    keep = log_loss < best_before
    return Curve(log_loss[keep][::-1], evaluations.score[keep][::-1])


def last_passage(evaluations: Evaluations) -> Curve:
    """Keep the evaluations after which the loss is lower for good.

    Together with :func:`first_passage` it brackets what a rule may read at a loss.
    """
    log_loss = np.log10(evaluations.train_loss)
    worst_after = np.maximum.accumulate(np.append(log_loss[1:], -np.inf)[::-1])[::-1]
    keep = log_loss > worst_after
    return Curve(log_loss[keep][::-1], evaluations.score[keep][::-1])


def bins(evaluations: Evaluations) -> Curve:
    """Mean log loss and score of the evaluations in each tenth of a decade of loss."""
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


RULES: dict[str, Callable[[Evaluations], Curve]] = {
    "isotonic": isotonic,
    "first_passage": first_passage,
    "bins": bins,
}


def overlap(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the range of log loss that all curves cover; low > high if there is none."""
    return (
        max(float(curve.log_loss[0]) for curve in curves),
        min(float(curve.log_loss[-1]) for curve in curves),
    )


def grid(low: float, high: float) -> FloatArray:
    """Return the log losses j/20, for all integers j, inside [low, high]."""
    first, last = np.ceil(low * POINTS_PER_DECADE), np.floor(high * POINTS_PER_DECADE)
    return np.asarray(np.arange(first, last + 1) / POINTS_PER_DECADE)


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
    known = np.sort(np.log10(np.concatenate([run.train_loss for run in group])))
    above = np.searchsorted(known, points)
    inside = (above > 0) & (above < known.size)
    upper = np.minimum(above, known.size - 1)
    width = known[upper] - known[np.maximum(above - 1, 0)]
    return np.asarray(inside & (width > WIDEST_HOLE) & (known[upper] != points))


@dataclass(frozen=True)
class GapCurve:
    """Score of one group of runs minus another's, at equal training loss.

    Attributes
    ----------
    log_loss
        (g,) log10 of the training loss, increasing.
    gap
        The difference there, NaN in holes of the evaluations.
    low, high
        log10 of the loss range that all runs cover; `low` > `high` if there is none.
    band
        (g,) each: the approximate simultaneous band, from where to where.
    """

    log_loss: FloatArray
    gap: Difference
    low: float
    high: float
    band: tuple[FloatArray, FloatArray]


def gap_curve(
    runs: Sequence[Evaluations],
    baseline: Sequence[Evaluations],
    rule: str = "isotonic",
    interval: str = "t",
    confidence: float = 0.95,
    *,
    pairs: bool = False,
    seed: int = 0,
) -> GapCurve:
    """Compare two groups of runs at equal training loss, from their evaluations alone.

    Parameters
    ----------
    runs, baseline
        The runs of each group, none without evaluations.
    rule, interval, confidence, seed
        As in :func:`trajlab.analysis.gap`.
    pairs
        Whether runs of equal position belong together.
    """
    sides = [[RULES[rule](run) for run in group] for group in (runs, baseline)]
    low, high = overlap([*sides[0], *sides[1]])
    points = grid(low, high)
    scores = [np.array([curve.at(points) for curve in curves]) for curves in sides]
    scores[0][:, in_hole(points, runs) | in_hole(points, baseline)] = np.nan
    items = item_differences(runs, baseline, lambda run: RULES[rule](run).at(points))
    drawn: dict[str, Any] = {"pairs": pairs, "seed": seed, "items": items}
    gap = difference(scores[0], scores[1], interval, confidence, **drawn)
    band = simultaneous(scores[0], scores[1], confidence, **drawn)
    return GapCurve(points, gap, low, high, band)


@dataclass(frozen=True)
class StepGap:
    """Score of one group of runs minus another's, at equal steps; `step` may be empty."""

    step: npt.NDArray[np.int64]
    gap: Difference


def step_gap(
    runs: Sequence[Evaluations],
    baseline: Sequence[Evaluations],
    interval: str = "t",
    confidence: float = 0.95,
    *,
    pairs: bool = False,
    seed: int = 0,
) -> StepGap:
    """Compare two groups at the steps at which every run was evaluated.

    Parameters are those of :func:`gap_curve`.
    """
    everyone = [*runs, *baseline]
    common = everyone[0].step
    for run in everyone:
        common = np.intersect1d(common, run.step)

    def read(run: Evaluations) -> FloatArray:
        return np.asarray(run.score[np.searchsorted(run.step, common)])

    sides = [np.array([read(run) for run in group]) for group in (runs, baseline)]
    items = item_differences(runs, baseline, read)
    gap = difference(sides[0], sides[1], interval, confidence, pairs=pairs, seed=seed, items=items)
    return StepGap(common, gap)
