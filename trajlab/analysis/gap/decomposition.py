"""The difference between two groups of runs as a sum of three terms.

Per run, at one training loss L_c that all runs' curves share: what is there at equal loss
(`matched`), what the rest of training adds (`reach`), and what the choice of checkpoints adds
(`selection`). It is accounting, not cause.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trajlab.analysis.runs.common_loss import CommonLoss, common_loss
from trajlab.analysis.runs.curve import RULES, Curve, first_passage, last_passage, passing_step
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.item_error import item_differences
from trajlab.analysis.runs.level_error import level_effects, lowest_error
from trajlab.analysis.runs.levels import WIDEST_HOLE
from trajlab.analysis.runs.windows import Windows
from trajlab.analysis.statistics.difference import difference
from trajlab.analysis.statistics.intervals import (
    Difference,
    FloatArray,
    item_error,
    mean_interval,
    welch,
    widen,
)

TERMS = ("delta", "matched", "reach", "selection")
_ROUNDING = 1e-12
_AT_LOSS = (0, 1, -1, 0, 0)  # which of the terms, and of their sum in the end, are read at a loss
_SELECTION = 0.2  # of the level, in tests of a pair of terms that holds `selection`


@dataclass(frozen=True)
class Decomposition:
    """Difference of two groups, `delta` = `matched` + `reach` + `selection`, exactly.

    Attributes
    ----------
    common
        L_c, the lowest loss that all runs' curves share, and which run sets it.
    terms
        Arrays of four entries, in the order of `TERMS`, each with its own t interval; over test
        items too, where it is recorded which were right.
    closed
        (3,) the p of each term by closed testing: see :func:`closed_p`.
    over_runs
        `delta` over runs alone.
    item_error
        Standard error of `delta` over test items, 0 where they are not known.
    level_error
        Standard error of `matched` from that of the training loss, 0 where that is not recorded.
    selected
        Whether checkpoints could be selected: every run has more evaluations on the selection split
        than are chosen. If not, E* = E_end, and `selection` is 0 by definition.
    first, last
        `matched` as the first and as the last passage of L_c have it: how much the rule matters.
    lowest
        Difference of log10 of the lowest loss on the runs' curves.
    own_reach
        Mean of E_end − E(L_c) over each side's runs, E_end of evaluations after L_c was passed: a
        run that has just come to L_c did not get worse, though its last tenth began before.
    without
        The terms without the run that sets L_c, where that moves L_c by more than half a decade.
    """

    common: CommonLoss
    terms: Difference
    closed: FloatArray
    over_runs: Difference
    item_error: float
    level_error: float
    selected: bool
    first: float
    last: float
    lowest: Difference
    own_reach: tuple[Difference, Difference]
    without: Difference | None


def run_terms(
    evaluations: Evaluations, curve: Curve, log_loss: float, windows: Windows
) -> FloatArray:
    """Return one run's E*, E(L_c), E_end − E(L_c) and E* − E_end.

    Parameters
    ----------
    evaluations, curve
        The run.
    log_loss
        log10 of L_c; NaN gives NaN.
    windows
        Which evaluations E_end and E* are of.

    Returns
    -------
    (4, …) array
        In the order of `TERMS`; a last axis is that of the score's items.
    """
    common = curve.at(log_loss)
    selected, end = windows.scores(evaluations)
    chosen = selected - end
    rounding = _ROUNDING * np.maximum(np.abs(selected), np.abs(end))
    return np.array([selected, common, end - common, np.where(abs(chosen) > rounding, chosen, 0)])


def decompose(
    runs: Sequence[Evaluations],
    baseline: Sequence[Evaluations],
    rule: str = "isotonic",
    confidence: float = 0.95,
    *,
    pairs: bool = False,
    number: int | None = None,
    log_loss: float | None = None,
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
    number
        Evaluations that stand for a run at its end and as chosen; a tenth of them if not given.
    log_loss
        log10 of the loss to read at; of L_c if not given.
    """
    groups = runs, baseline
    curves = [[RULES[rule](run) for run in group] for group in groups]
    common = common_loss(groups, curves)
    at = common.readable if log_loss is None else log_loss
    windows = Windows.of(runs, baseline, number)

    def read(run: Evaluations) -> FloatArray:
        terms = run_terms(run, RULES[rule](run), at, windows)
        return np.array([*terms, terms[1] + terms[2]])

    sides = [np.array([read(run) for run in group]) for group in groups]
    items = item_differences(runs, baseline, read)
    effects = level_effects(groups, RULES[rule], at)
    effect = np.zeros(2) if effects is None else effects
    shifts = None if effects is None else np.outer(effect, _AT_LOSS)
    over_runs = difference(sides[0][:, 0], sides[1][:, 0], "t", confidence, pairs=pairs)
    found = difference(sides[0], sides[1], "t", confidence, pairs=pairs, items=items, shifts=shifts)
    terms = Difference(*(values[:4] for values in vars(found).values()))
    if not windows.select and not np.isnan(terms.low[0]):  # 0 by definition, not by measurement
        terms.low[3] = terms.high[3] = 0.0
    lowest = [np.array([curve.lowest for curve in side]) for side in curves]
    further = welch(lowest[0], lowest[1], confidence)
    own_reach = [
        mean_interval(
            np.array([windows.end_since(run, passing_step(run, at)) for run in group]) - side[:, 1],
            confidence,
        )
        for group, side in zip(groups, sides, strict=True)
    ]
    if effects is not None:
        error = np.asarray(np.linalg.norm([lowest_error(group, RULES[rule]) for group in groups]))
        further = widen(further, error, np.inf, confidence)
        own_reach = [
            widen(own, each, np.inf, confidence)
            for own, each in zip(own_reach, effect, strict=True)
        ]
    return Decomposition(
        common,
        terms,
        closed_p(*found.p_value),
        over_runs,
        0.0 if items is None else float(item_error(items)[0]),
        float(np.linalg.norm(effect)),
        windows.select,
        _read(groups, first_passage, at),
        _read(groups, last_passage, at),
        further,
        (own_reach[0], own_reach[1]),
        None if log_loss is not None else _without(groups, common, rule, confidence, number),
    )


def closed_p(
    delta: float, matched: float, reach: float, selection: float, end: float
) -> FloatArray:
    """Return the p of each term by closed testing.

    A term differs from 0 where its own test says so, and every test that it is 0 together with
    others: all three, by that of Δ, which then is 0; `matched` and `reach`, by that of their sum,
    the difference in the end; and one of them with `selection`, by both their tests, the latter at
    a fifth of the level, for it may cancel the other. Each has the level, so that the three terms
    of a comparison have it together, whichever of them are 0.

    Parameters
    ----------
    delta, matched, reach, selection, end
        p of Δ, of the three terms, and of `matched` + `reach`.

    References
    ----------
    R. Marcus, E. Peritz, K. R. Gabriel (1976), Biometrika 63, 655-660.
    """
    others = np.array([matched, reach])
    if not np.isnan(selection):  # where no checkpoint was chosen there is nothing to cancel
        others = np.fmin(others / (1 - _SELECTION), selection / _SELECTION)
    tests = [
        [delta, matched, end, others[0]],
        [delta, reach, end, others[1]],
        [delta, selection, *others],
    ]
    return np.asarray(np.minimum(np.max(tests, axis=1), 1))


def _without(
    groups: tuple[Sequence[Evaluations], Sequence[Evaluations]],
    common: CommonLoss,
    rule: str,
    confidence: float,
    number: int | None,
) -> Difference | None:
    """Return the terms without the run that sets L_c, if that moves L_c by more than a hole."""
    left = [
        [run for i, run in enumerate(group) if (side, i) != common.set_by]
        for side, group in enumerate(groups)
    ]
    moved = np.isnan(common.log_loss) or common.log_loss - common.next_lowest > WIDEST_HOLE
    if not (moved and all(left)):
        return None
    at = common_loss(left, [[RULES[rule](run) for run in group] for group in left]).readable
    parts = decompose(left[0], left[1], rule, confidence, number=number, log_loss=at)
    return None if np.isnan(at) else parts.terms


def _read(
    groups: Sequence[Sequence[Evaluations]],
    rule: Callable[[Evaluations], Curve],
    log_loss: float,
) -> float:
    """Return the difference of two groups' mean scores at a loss."""
    means = [np.mean([rule(run).at(log_loss) for run in group]) for group in groups]
    return float(means[0] - means[1])
