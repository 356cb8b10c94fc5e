"""The difference between two groups of runs as a sum of three terms.

Per run, at one training loss L_c that all runs reach: what is there at equal loss (`matched`), what
the rest of training adds (`reach`), and what the choice of checkpoints adds (`selection`). It is
accounting, not cause.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trajlab.analysis.gap.item_error import item_differences
from trajlab.analysis.runs.curve import RULES, Curve, first_passage, in_hole, last_passage
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.statistics.difference import difference
from trajlab.analysis.statistics.intervals import Difference, FloatArray

TERMS = ("delta", "matched", "reach", "selection")


@dataclass(frozen=True)
class Decomposition:
    """Difference of two groups, `delta` = `matched` + `reach` + `selection`, exactly.

    Attributes
    ----------
    common_loss
        L_c, the largest of all runs' minimum losses.
    common_loss_low
        L_c if the run that sets it is left out; leaving out any other does not move it.
    terms
        Arrays of four entries, in the order of `TERMS`, each with its own t interval; over test
        items too, where it is recorded which were right.
    selected
        Whether checkpoints could be selected: every run has more than ten evaluations on the
        selection split. If not, E* = E_end, and `selection` is 0 by definition.
    first, last
        `matched` as the first and as the last passage of L_c have it: how much the rule matters.
    """

    common_loss: float
    common_loss_low: float
    terms: Difference
    selected: bool
    first: float
    last: float


def run_terms(
    evaluations: Evaluations, curve: Curve, log_loss: float, *, select: bool
) -> FloatArray:
    """Return one run's E*, E(L_c), E_end − E(L_c) and E* − E_end.

    E_end is the mean over the last 10 % of evaluations, E* over the 10 best on the selection split.

    Parameters
    ----------
    evaluations, curve
        The run.
    log_loss
        log10 of L_c. Where it lies below the curve's lowest knot, within the block that this knot
        is the mean of, that block's mean is read.
    select
        Without, E* = E_end.

    Returns
    -------
    (4, …) array
        In the order of `TERMS`; a last axis is that of the score's items.
    """
    common = _common(curve, log_loss)
    end = evaluations.end_score
    selected = evaluations.best_score() if select else end
    return np.array([selected, common, end - common, selected - end])


def decompose(
    runs: Sequence[Evaluations],
    baseline: Sequence[Evaluations],
    rule: str = "isotonic",
    confidence: float = 0.95,
    *,
    pairs: bool = False,
) -> Decomposition:
    """Split the difference between two groups of runs into its three terms.

    Parameters
    ----------
    runs, baseline
        The runs of each group; every one has at least one evaluation, and none diverged.
    rule
        How a score is read at L_c, a key of `RULES`.
    confidence
        Coverage of the t intervals.
    pairs
        Whether runs of equal position belong together.
    """
    everyone = [*runs, *baseline]
    minima = np.sort([run.train_loss.min() for run in everyone])
    log_loss = float(np.log10(minima[-1]))
    select = all(run.selectable() for run in everyone)
    hole = any(in_hole(log_loss, group) for group in (runs, baseline))

    def read(run: Evaluations) -> FloatArray:
        return run_terms(run, RULES[rule](run), log_loss, select=select)

    sides = [np.array([read(run) for run in group]) for group in (runs, baseline)]
    items = item_differences(runs, baseline, read)
    if hole:
        sides[0][:, 1:3] = np.nan
    terms = difference(sides[0], sides[1], "t", confidence, pairs=pairs, items=items)
    first, last = (
        np.nan if hole else _read(runs, passage, log_loss) - _read(baseline, passage, log_loss)
        for passage in (first_passage, last_passage)
    )
    return Decomposition(float(minima[-1]), float(minima[-2]), terms, select, first, last)


def _read(
    group: Sequence[Evaluations], rule: Callable[[Evaluations], Curve], log_loss: float
) -> float:
    """Return a group's mean score at a loss."""
    curves = [rule(run) for run in group]
    return float(np.mean([_common(curve, log_loss) for curve in curves]))


def _common(curve: Curve, log_loss: float) -> FloatArray:
    """Read a curve at L_c; below its lowest knot, that knot."""
    return curve.at(max(log_loss, float(curve.log_loss[0])))
