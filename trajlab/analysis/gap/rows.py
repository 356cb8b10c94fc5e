"""The rows that one comparison gives in the tables of :func:`trajlab.analysis.gap`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trajlab.analysis.gap.compared import Compared
from trajlab.analysis.gap.decomposition import TERMS, decompose
from trajlab.analysis.gap.matching import GapCurve, StepGap, gap_curve, step_gap
from trajlab.analysis.gap.onset import ONSETS, persistence
from trajlab.analysis.gap.options import GapOptions
from trajlab.analysis.gap.reasons import HOLE, cadence, caveats, left_out
from trajlab.analysis.interface.axis import TRAINING_LOSS, Axis
from trajlab.analysis.runs.evaluations import WINDOWS, Evaluations
from trajlab.analysis.runs.item_error import item_unit
from trajlab.analysis.runs.recorded import is_quantity
from trajlab.analysis.statistics.intervals import Difference
from trajlab.lazy import pd

_TERM_COLUMNS = (
    *(f"{term}{end}" for term in TERMS for end in ("", "_low", "_high", "_p")),
    *(f"{term}_p_closed" for term in TERMS[1:]),
)
_RANGES = (
    f"{name}{end}"
    for name in (
        *("lowest_loss_ratio", "reach_of_runs", "reach_of_baseline"),
        *("delta_without", "matched_without"),
    )
    for end in ("", "_low", "_high")
)
_NUMBERS = (
    *("overlap_low", "overlap_high", "onset_loss", "onset_step_baseline", "onset_step", "sign"),
    *("persistence", *_TERM_COLUMNS, "delta_se", "delta_df", "common_loss", "common_loss_low"),
    *("delta_seed_se", "delta_seed_df", "delta_item_se", "matched_level_se", *_RANGES),
    *("matched_first_passage", "matched_last_passage", "last_common_step"),
    *("at_equal_steps", "at_equal_steps_low", "at_equal_steps_high"),
)


def comparison_tables(
    each: Compared, options: GapOptions
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return the rows of `curve`, `steps` and `at` and the row of `summary` for one comparison."""
    metric, runs, baseline = each.metric, each.runs, each.baseline
    split = "" if is_quantity(metric) else options.split
    head = {**each.head.columns, "metric": metric, "split": split}
    on = {**head, **options.axis.columns}
    own = {
        "beside": each.beside,
        "higher_is_better": each.higher_is_better,
        "rule": options.rule,
        "interval": options.interval,
        "onset_rule": options.onset,
        **dict.fromkeys(_NUMBERS, np.nan),
        "selection_split": "none",
        "window": options.window,
        "common_loss_run": "",
        "pairs": False,
        "scope": "",
        **runs.counts(),
        **baseline.counts("_baseline"),
        "reason": each.reason,
    }
    each.head.check_beside({"metric", "split", *options.axis.columns, *own})
    row = {**on, **own}
    matched = stepwise = asked = None
    if not row["reason"]:
        pairs = runs.paired_with(baseline)
        if pairs:
            runs, baseline = runs.by_pair(), baseline.by_pair()
        sides = runs.runs, baseline.runs
        interval = options.interval, options.confidence
        drawn: dict[str, Any] = {"pairs": pairs, "seed": options.seed}
        matched = gap_curve(*sides, options.rule, *interval, **drawn)
        stepwise = step_gap(*sides, *interval, **drawn)
        points = options.axis.log_level(options.at)
        if points.size:
            asked = gap_curve(*sides, options.rule, *interval, **drawn, at=points.tolist())
        row |= {"pairs": pairs, "scope": _scope(metric, options, *sides)}
        row |= _onset_columns(matched, options, *sides)
        row |= term_columns(*sides, options, pairs=pairs)
        side, place = int(row.pop("set_by")), int(row.pop("place"))
        row["common_loss_run"] = (runs, baseline)[side].names[place]
        row |= _last_step(stepwise)
        told = caveats(row, matched), cadence(*sides), left_out(runs, baseline, options.axis)
        row["reason"] = "; ".join(filter(None, told))
    curve = pd.DataFrame({**on, **_curve_columns(matched, options.axis)})
    steps = pd.DataFrame({**head, **_step_columns(stepwise)})
    return (
        curve,
        steps,
        pd.DataFrame({**on, **_at_columns(asked, options, str(row["reason"]))}),
        row,
    )


def _scope(
    metric: str,
    options: GapOptions,
    runs: Sequence[Evaluations],
    baseline: Sequence[Evaluations],
) -> str:
    """Say what the intervals are conditional on; nothing where there are none."""
    if min(len(runs), len(baseline)) < 2:
        return ""
    if is_quantity(metric):
        return "over runs"
    known = any(run.level_error is not None for run in (*runs, *baseline))
    with_loss = f", with the error of the {options.axis.name}" if known else ""
    alone = "" if options.interval == "t" else "; the curve over runs alone"
    if not item_unit([*runs, *baseline]):
        told = f"conditional on this {options.split} set{with_loss}"
        return told + alone if known else told
    return f"over runs and {options.split} items{with_loss}{alone}"


def _step_columns(stepwise: StepGap | None) -> dict[str, Any]:
    if stepwise is None:
        return dict.fromkeys(("step", "gap", "low", "high", "significant"), np.empty(0))
    gap = stepwise.gap
    return {
        "step": stepwise.step,
        "gap": gap.estimate,
        "low": gap.low,
        "high": gap.high,
        "significant": gap.significant,
    }


def _last_step(stepwise: StepGap) -> dict[str, float]:
    if not stepwise.step.size or stepwise.step[-1] <= 1:  # step 1 is hardly trained
        return {}
    gap = stepwise.gap
    return {
        "last_common_step": float(stepwise.step[-1]),
        "at_equal_steps": float(gap.estimate[-1]),
        "at_equal_steps_low": float(gap.low[-1]),
        "at_equal_steps_high": float(gap.high[-1]),
    }


def _at_columns(asked: GapCurve | None, options: GapOptions, reason: str) -> dict[str, Any]:
    """Return the gap at the losses that were asked for, in that order."""
    if asked is None:
        nothing = dict.fromkeys(("gap", "low", "high"), np.nan)
        return {"at": list(options.at), **nothing, "significant": False, "reason": reason}
    gap, place = asked.gap, options.axis.log_level(options.at)
    outside = (place < asked.low) | (place > asked.high)
    return {
        "at": list(options.at),
        "gap": gap.estimate,
        "low": gap.low,
        "high": gap.high,
        "significant": gap.significant,
        "reason": np.select(
            [outside, np.isnan(gap.estimate)],
            [f"outside the {options.axis.short} that all runs have", HOLE],
            "",
        ),
    }


def _curve_columns(matched: GapCurve | None, axis: Axis) -> dict[str, Any]:
    if matched is None:
        empty = np.empty(0)
        nothing = Difference(empty, empty, empty, empty, empty)
        matched = GapCurve(empty, nothing, np.nan, np.nan, (empty, empty))
    return {
        "at": axis.value(matched.log_loss),
        "train_loss": axis.value(matched.log_loss) if axis == TRAINING_LOSS else np.nan,
        "gap": matched.gap.estimate,
        "low": matched.gap.low,
        "high": matched.gap.high,
        "significant": matched.gap.significant,
        "band_low": matched.band[0],
        "band_high": matched.band[1],
        "reason": np.where(np.isnan(matched.gap.estimate), HOLE, ""),
    }


def term_columns(
    runs: Sequence[Evaluations],
    baseline: Sequence[Evaluations],
    options: GapOptions,
    *,
    pairs: bool,
) -> dict[str, Any]:
    """Return the terms of the difference as columns of `summary`.

    Parameters
    ----------
    runs, baseline
        The runs of each side.
    options
        Of the analysis.
    pairs
        Whether runs of equal position belong together.
    """
    number = WINDOWS[options.window]
    parts = decompose(runs, baseline, options.rule, options.confidence, pairs=pairs, number=number)
    side, place = parts.common.set_by
    columns: dict[str, Any] = {
        "common_loss": float(options.axis.value(parts.common.log_loss)),
        "common_loss_low": float(options.axis.value(parts.common.next_lowest)),
        "set_by": side,
        "place": place,
        "selection_split": options.selection_split if parts.selected else "none",
        "matched_first_passage": parts.first,
        "matched_last_passage": parts.last,
    }
    terms = parts.terms
    for i, term in enumerate(TERMS):
        columns[term], columns[f"{term}_p"] = terms.estimate[i], terms.p_value[i]
        columns[f"{term}_low"], columns[f"{term}_high"] = terms.low[i], terms.high[i]
    columns |= {f"{term}_p_closed": p for term, p in zip(TERMS[1:], parts.closed, strict=True)}
    over_runs = parts.over_runs
    columns |= {"delta_se": terms.error[0], "delta_df": terms.freedom[0]}
    columns |= {"delta_seed_se": float(over_runs.error), "delta_seed_df": float(over_runs.freedom)}
    columns |= {"delta_item_se": parts.item_error or np.nan}  # not known, not none
    columns |= {"matched_level_se": parts.level_error or np.nan}
    columns |= _range("reach_of_runs", parts.own_reach[0])
    columns |= _range("reach_of_baseline", parts.own_reach[1])
    ratio = _range("lowest_loss_ratio", parts.lowest)
    columns |= {name: 10**value for name, value in ratio.items()}
    if parts.without is not None:
        columns |= _range("delta_without", parts.without, 0)
        columns |= _range("matched_without", parts.without, 1)
    return columns


def _range(name: str, interval: Difference, place: int | None = None) -> dict[str, float]:
    """Return a number with its interval as columns."""
    ends = {"": interval.estimate, "_low": interval.low, "_high": interval.high}
    return {
        name + end: float(value if place is None else value[place]) for end, value in ends.items()
    }


def _onset_columns(
    matched: GapCurve,
    options: GapOptions,
    runs: Sequence[Evaluations],
    baseline: Sequence[Evaluations],
) -> dict[str, float]:
    if matched.low > matched.high:
        return {}
    ends = sorted(float(options.axis.value(end)) for end in (matched.low, matched.high))
    columns = dict(zip(("overlap_low", "overlap_high"), ends, strict=True))
    gap, significant = matched.gap.estimate, matched.gap.significant
    start = ONSETS[options.onset](gap, significant)
    if start is None:
        return columns
    level = float(10 ** matched.log_loss[start])
    return {
        **columns,
        "onset_loss": float(options.axis.value(matched.log_loss[start])),
        "onset_step_baseline": float(np.median([run.step_at(level) for run in baseline])),
        "onset_step": float(np.median([run.step_at(level) for run in runs])),
        "sign": float(np.sign(gap[start])),
        "persistence": persistence(gap, significant, start),
    }
