"""The generalization gap at matched training loss, its onset and its decomposition."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from trajlab.analysis.gap.matching import RULES
from trajlab.analysis.gap.onset import ONSETS
from trajlab.analysis.gap.rows import compare
from trajlab.analysis.options import check_choice, check_confidence
from trajlab.analysis.result import Result
from trajlab.analysis.runs import groups
from trajlab.analysis.runs.evaluations import check_metric, metrics
from trajlab.analysis.runs.quantities import check_quantity, is_quantity
from trajlab.analysis.statistics.difference import INTERVALS
from trajlab.store import Trajectory


@dataclass(frozen=True, kw_only=True)
class Gap(Result):
    """What :func:`gap` returns.

    Attributes
    ----------
    curve
        One row a comparison and point of the loss grid: `train_loss, gap, low, high, significant`,
        and the simultaneous band `band_low, band_high`, which is approximate.
    summary
        One row a comparison and metric: onset, persistence and the three terms of the difference.
    steps
        One row a comparison and step at which every run was evaluated: the gap at equal steps.
    """

    curve: pd.DataFrame
    summary: pd.DataFrame
    steps: pd.DataFrame


def gap(
    runs: Iterable[Trajectory],
    *,
    baseline: Mapping[str, str] = groups.BASELINE,
    against: Mapping[str, str] | None = None,
    metric: str | None = None,
    split: str = "test",
    selection_split: str = "validation",
    rule: Literal["isotonic", "first_passage", "bins"] = "isotonic",
    interval: Literal["t", "2sd", "bootstrap"] = "t",
    onset: Literal["sustained", "first"] = "sustained",
    confidence: float = 0.95,
    seed: int = 0,
    group_by: Sequence[str] = (),
) -> Gap:
    """Generalization gap at matched training loss, against a baseline, with its decomposition.

    Positive means better than the baseline, for every metric. The gap is read on a grid of 20
    points a decade inside the range of training loss that all runs of both groups cover; step 0
    is left out, nothing is extrapolated, and points inside a hole of more than half a decade
    between a group's neighbouring evaluations are NaN. The difference `delta` of the scores that a
    user would report is `matched` (at one common loss) + `reach` (what the rest of training adds) +
    `selection` (what choosing checkpoints adds): accounting, not cause.

    Parameters
    ----------
    runs
        Recorded runs, with evaluations on the training set and on `split`.
    baseline
        Keys and values that select the baseline.
    against
        Keys and values that narrow what is compared with it.
    metric
        The metric to compare; every metric recorded on `split` if not given. Or a recorded
        quantity, as table/column: ``sharpness/value``. It has no better direction: positive means
        larger than the baseline's.
    split
        The split that the metric is read on.
    selection_split
        The split that the ten best evaluations are chosen on; without it, the last 10 % of
        evaluations stand for them.
    rule
        How a score is read at a loss: isotonic regression of the loss over steps, the first
        passage of its running minimum, or means in tenths of a decade of loss.
    interval
        The t interval over runs (Welch's, or that of pairs where every run declares a `pair_id`
        in its metadata and the sides have the same ones), the paper's ±2 standard deviations, or
        the studentized bootstrap over 8 or more runs a group. The terms of the decomposition always
        have t intervals.
    onset
        Where the gap begins: up from the lowest loss as long as it is significant, or the
        highest significant loss from which down it keeps its sign (the paper's reading).
    confidence
        Coverage of the intervals; its complement is the level of the tests.
    seed
        Of the random numbers that are drawn, if any; written down with the result.
    group_by
        Metadata keys that tell groups of runs apart, next to setting, condition and method.

    Returns
    -------
    Gap
        Without a selection split, `selection` is 0 by definition, and the row says so.

    Raises
    ------
    TrajlabError
        If an option is unknown, runs cannot be grouped or have no baseline, or evaluations or the
        metric were not recorded.

    References
    ----------
    D. Mueller, M. Dredze, N. Andrews, "Can Optimization Trajectories Explain Multi-Task
    Transfer?", TMLR 2024: generalization compared at equal training loss.
    """
    check_choice("rule", rule, RULES)
    check_choice("interval", interval, INTERVALS)
    check_choice("onset", onset, ONSETS)
    check_confidence(confidence)
    settings = {
        "baseline": dict(baseline),
        "against": dict(against or {}),
        "metric": metric,
        "split": split,
        "selection_split": selection_split,
        "rule": rule,
        "interval": interval,
        "onset": onset,
        "confidence": confidence,
        "seed": seed,
        "group_by": list(group_by),
    }
    found = groups.group(runs, group_by)
    complete = [run for item in found for run in item.runs]
    if metric and is_quantity(metric):
        check_quantity(metric, complete)
    elif metric:
        check_metric(metric, complete, split)
    curves, rows, steps = [], [], []
    for comparison in groups.compare(found, baseline, against):
        for name in [metric] if metric else metrics(comparison.runs, split, comparison.task):
            curve, at_steps, row = compare(comparison, name, settings)
            curves.append(curve)
            steps.append(at_steps)
            rows.append(row)
    return Gap(
        settings=settings,
        curve=pd.concat(curves, ignore_index=True),
        summary=pd.DataFrame(rows),
        steps=pd.concat(steps, ignore_index=True),
    )
