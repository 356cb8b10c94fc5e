"""The generalization gap at matched training loss, its onset and its decomposition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from trajlab.analysis.gap.asked import of_asked
from trajlab.analysis.gap.compared import compared
from trajlab.analysis.gap.options import GapOptions, Interval, Onset, Window
from trajlab.analysis.gap.overall import of_overall, overall_frame
from trajlab.analysis.gap.rows import comparison_tables
from trajlab.analysis.gap.sensitivity import of_sensitivity, sensitivity_frame
from trajlab.analysis.gap.sentences import sentences
from trajlab.analysis.interface.axis import LOSS, TRAINING
from trajlab.analysis.interface.options import BASELINE, ComparisonOptions, Rule
from trajlab.analysis.interface.result import Family, Result
from trajlab.analysis.interface.sentence import Sentence
from trajlab.analysis.interface.tables import parts
from trajlab.analysis.runs import groups
from trajlab.analysis.runs.groups import Group
from trajlab.analysis.runs.recorded import check, unevaluated
from trajlab.lazy import pd
from trajlab.store import Trajectory


@dataclass(frozen=True, kw_only=True)
class Gap(Result):
    """What :func:`gap` returns.

    Attributes
    ----------
    curve
        One row a comparison and point of the grid: `at` which loss (or clock, if `x` is one) it is,
        `train_loss` (the same where that is matched, else NaN), `gap, low, high, significant`, and
        the simultaneous band `band_low, band_high`, which is approximate.
    summary
        One row a comparison and metric: onset, persistence and the three terms of the difference.
        `onset_loss`, `overlap_low`, `overlap_high` and `common_loss` are values of what is matched:
        of `loss`, or of the clock `x`; `n_unplaced` evaluations have none, and count for the
        scores at the end alone.
    steps
        One row a comparison and step, those of the run evaluated least often and the last that all
        runs made: the gap at equal steps.
    at
        One row a comparison and loss that was asked for by `at`: the gap there.
    overall
        Where a group has three or more tasks, one row a task: its shrunken estimate, and the mean
        effect over tasks, its spread between tasks, and Δm.
    sensitivity
        If it was asked for, one row a comparison and choice: what another one would have given.
    """

    options: GapOptions
    curve: pd.DataFrame
    summary: pd.DataFrame
    steps: pd.DataFrame
    at: pd.DataFrame
    overall: pd.DataFrame
    sensitivity: pd.DataFrame

    def sentences(self, margin: float | None = None, /) -> Iterator[Sentence]:
        """Yield what each task's difference shows, and where it comes from."""
        keys = self.options.keys
        yield from sentences(self.summary, keys, margin, self.options.confidence)
        for part in parts(self.at, [*keys, "metric"]):
            yield from of_asked(part)
        for part in parts(self.overall, [*keys, "baseline", "metric"]):
            yield from of_overall(part)
        for part in parts(self.sensitivity, [*keys, "task", "metric"]):
            yield from of_sensitivity(part)


def gap(
    runs: Iterable[Trajectory],
    *,
    baseline: Mapping[str, str] = BASELINE,
    against: Mapping[str, str] | None = None,
    metric: str | None = None,
    split: str = "test",
    selection_split: str = "validation",
    x: str = LOSS,
    loss: str = TRAINING,
    at: Sequence[float] = (),
    rule: Rule = "isotonic",
    interval: Interval = "t",
    onset: Onset = "sustained",
    window: Window = "tenth",
    sensitivity: bool = False,
    confidence: float = 0.95,
    seed: int = 0,
    group_by: Sequence[str] = (),
) -> Gap:
    """Generalization gap at matched training loss, against a baseline, with its decomposition.

    Positive means better than the baseline, for every metric. The gap is read on a grid of 20
    points a decade, and at least 20, inside the range of training loss that all runs of both
    groups cover; step 0 is left out, nothing is extrapolated, and points inside a hole of more than
    half a decade between a group's neighbouring evaluations are NaN. The difference `delta` of the
    scores that a user would report is `matched` (at one common loss) + `reach` (what the rest of
    training adds) + `selection` (what choosing checkpoints adds): accounting, not cause.

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
        The split that the best evaluations are chosen on; without it, the last ones stand for
        them.
    x
        What is equal where groups are compared: loss, step, or what was recorded as one number a
        step that never falls: epoch, tokens, samples, wall_time, flops, or table/column. Of a clock
        the logarithm is taken, as of the loss.
    loss
        Which loss: train/loss, another split/metric of which less is better, such as
        validation/loss, or losses: that of the batches trained on, averaged over the epoch before
        (or since the evaluation before, where no epochs are told).
    at
        Losses (or values of the clock) of one's own to read the gap at, too.
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
    window
        Evaluations that stand for a run at its end, and as chosen on the selection split: a tenth
        of them, so that runs evaluated at other distances compare, or the paper's ten.
    sensitivity
        Also read every comparison by other rules, losses, grids and windows, and without each run.
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

    Examples
    --------
    >>> import trajlab
    >>> found = trajlab.analysis.gap(trajlab.datasets.load("digits-two-tasks")).summary
    >>> found.dropna(subset="delta")[["condition", "delta", "onset_loss"]].round(2)
      condition  delta  onset_loss
    0    +noisy  -1.29        0.02
    2     +same   1.20         NaN
    """
    options = GapOptions(
        baseline=baseline,
        against=against,
        metric=metric,
        split=split,
        selection_split=selection_split,
        x=x,
        loss=loss,
        at=at,
        rule=rule,
        interval=interval,
        onset=onset,
        window=window,
        sensitivity=sensitivity,
        confidence=confidence,
        seed=seed,
        group_by=group_by,
    )
    everything = list(compared(runs, options))
    curves, steps, asked, rows = zip(
        *(comparison_tables(each, options) for each in everything), strict=True
    )
    both = [each for each in everything if each.runs.runs and each.baseline.runs]
    varied = [sensitivity_frame(each, options) for each in both] if sensitivity else []
    return Gap(
        options=options,
        curve=pd.concat(curves, ignore_index=True),
        summary=pd.DataFrame(rows),
        steps=pd.concat(steps, ignore_index=True),
        at=pd.concat(asked, ignore_index=True) if at else pd.DataFrame(),
        overall=overall_frame(both, options),
        sensitivity=pd.concat(varied, ignore_index=True) if varied else pd.DataFrame(),
    )


def requires(grouped: Sequence[Group], options: ComparisonOptions) -> str:
    """Return why there is no gap: fewer than two groups, or no evaluations.

    Raises
    ------
    TrajlabError
        If what is to be compared is named wrongly: that is told at once, not passed over.
    """
    complete = [run for group in grouped for run in group.runs]
    if reason := groups.alone(grouped) or unevaluated(complete, options.split, options.axis):
        return reason
    groups.compare(grouped, options.baseline, options.against)
    check(complete, options)
    return ""


FAMILY = Family(gap, requires)
