"""The scores of two groups of runs at equal training loss, and at equal steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlab.analysis.runs.curve import RULES, Curve, in_hole
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.item_error import item_differences
from trajlab.analysis.runs.level_error import level_effects
from trajlab.analysis.statistics.bands import simultaneous
from trajlab.analysis.statistics.difference import difference
from trajlab.analysis.statistics.intervals import Difference, FloatArray

POINTS_PER_DECADE = 20  # and the fewest in all
_SAME = 1e-9  # decades


def overlap(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the range of log loss that all curves cover; low > high if there is none."""
    ends = [curve.ends for curve in curves]
    return max(low for low, _ in ends), min(high for _, high in ends)


def grid(low: float, high: float, density: int = POINTS_PER_DECADE) -> FloatArray:
    """Return the log losses j/20, for all integers j, inside [low, high], or of other density.

    Where these are fewer than 20, the distance is halved until they are not: the losses of two
    language models may span a twentieth of a decade. A range of one loss is that loss.
    """
    if not high - low > _SAME:
        return np.array([low] if low <= high else [])
    points = density
    while (last := np.floor(high * points)) - (first := np.ceil(low * points)) + 1 < density:
        points *= 2
    return np.asarray(np.arange(first, last + 1) / points)


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
    density: int = POINTS_PER_DECADE,
    at: Sequence[float] | None = None,
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
    density
        Points of the grid in a decade, and the fewest in all.
    at
        (g,) log losses of one's own in place of the grid; NaN outside the common range.
    """
    sides = [[RULES[rule](run) for run in group] for group in (runs, baseline)]
    low, high = overlap([*sides[0], *sides[1]])
    points = grid(low, high, density) if at is None else np.asarray(at, float)
    scores = [np.array([curve.at(points) for curve in curves]) for curves in sides]
    scores[0][:, in_hole(points, runs) | in_hole(points, baseline)] = np.nan
    items = item_differences(runs, baseline, lambda run: RULES[rule](run).at(points))
    shifts = level_effects((runs, baseline), RULES[rule], points)
    drawn: dict[str, Any] = {"pairs": pairs, "seed": seed, "items": items, "shifts": shifts}
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
    """Compare two groups at the steps of the run evaluated least often, and the last of them all.

    Other runs are interpolated between their evaluations, never extrapolated. Parameters are those
    of :func:`gap_curve`.
    """
    everyone = [*runs, *baseline]
    first = max(int(run.step[0]) for run in everyone)
    last = min(int(run.step[-1]) for run in everyone)
    sparsest = min(everyone, key=lambda run: run.step.size).step
    common = np.unique(np.append(sparsest, last))
    common = common[(common >= first) & (common <= last)]

    def read(run: Evaluations) -> FloatArray:
        return Curve(run.step.astype(float), run.score).at(common)

    sides = [np.array([read(run) for run in group]) for group in (runs, baseline)]
    items = item_differences(runs, baseline, read)
    gap = difference(sides[0], sides[1], interval, confidence, pairs=pairs, seed=seed, items=items)
    return StepGap(common, gap)
