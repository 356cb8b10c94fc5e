"""The generalization gap at matched training loss, its onset and its decomposition."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from trajlab.analysis.gap.options import GapOptions, Interval, Onset
from trajlab.analysis.gap.rows import comparison_tables
from trajlab.analysis.gap.sentences import sentences
from trajlab.analysis.options import BASELINE, ComparisonOptions, Rule
from trajlab.analysis.result import Family, Result, Sentence
from trajlab.analysis.runs import groups
from trajlab.analysis.runs.evaluations import check_metric, metrics, unevaluated
from trajlab.analysis.runs.groups import Group
from trajlab.analysis.runs.quantities import check_quantity, is_quantity
from trajlab.analysis.tables import group_columns
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

    options: GapOptions
    curve: pd.DataFrame
    summary: pd.DataFrame
    steps: pd.DataFrame

    def sentences(self, margin: float | None = None) -> Iterator[Sentence]:
        """Yield what each task's difference shows, and where it comes from."""
        keys = group_columns(self.options.group_by)
        yield from sentences(self.summary, keys, margin, self.options.confidence)


def gap(
    runs: Iterable[Trajectory],
    *,
    baseline: Mapping[str, str] = BASELINE,
    against: Mapping[str, str] | None = None,
    metric: str | None = None,
    split: str = "test",
    selection_split: str = "validation",
    rule: Rule = "isotonic",
    interval: Interval = "t",
    onset: Onset = "sustained",
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
        Seed of the random numbers that are drawn, if any; written down with the result.
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
    options = GapOptions(
        baseline=baseline,
        against=against,
        metric=metric,
        split=split,
        selection_split=selection_split,
        rule=rule,
        interval=interval,
        onset=onset,
        confidence=confidence,
        seed=seed,
        group_by=group_by,
    )
    grouped = groups.group(runs, group_by)
    curves, rows, steps = [], [], []
    for comparison in _comparisons(grouped, options):
        for name in [metric] if metric else metrics(comparison.runs, split, comparison.task):
            curve, at_steps, row = comparison_tables(comparison, name, options)
            curves.append(curve)
            steps.append(at_steps)
            rows.append(row)
    return Gap(
        options=options,
        curve=pd.concat(curves, ignore_index=True),
        summary=pd.DataFrame(rows),
        steps=pd.concat(steps, ignore_index=True),
    )


def requires(grouped: Sequence[Group], options: ComparisonOptions) -> str:
    """Return why there is no gap: fewer than two groups, or no evaluations.

    Raises
    ------
    TrajlabError
        If what is to be compared is named wrongly: that is told at once, not passed over.
    """
    complete = [run for group in grouped for run in group.runs]
    if reason := groups.alone(grouped) or unevaluated(complete, options.split):
        return reason
    _comparisons(grouped, options)
    return ""


def _comparisons(grouped: Sequence[Group], options: ComparisonOptions) -> list[groups.Comparison]:
    """Check that the metric was recorded, and find what is compared with what."""
    complete = [run for group in grouped for run in group.runs]
    if options.metric and is_quantity(options.metric):
        check_quantity(options.metric, complete)
    elif options.metric:
        check_metric(options.metric, complete, options.split)
    return groups.compare(grouped, options.baseline, options.against)


FAMILY = Family(gap, requires)
