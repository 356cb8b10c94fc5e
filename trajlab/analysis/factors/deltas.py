"""The difference of each factor between a group and its baseline, at the end and at equal loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from trajlab.analysis.factors.options import FactorOptions
from trajlab.analysis.factors.quadrants import END, METRIC
from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.runs.common_loss import common_loss
from trajlab.analysis.runs.curve import RULES, in_hole
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.final import final_difference
from trajlab.analysis.runs.groups import Comparison, Group
from trajlab.analysis.runs.level_error import level_effects
from trajlab.analysis.runs.quantities import over_axis
from trajlab.analysis.runs.sides import Side
from trajlab.analysis.statistics.difference import difference
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.analysis.summary import FACTORS
from trajlab.lazy import pd

LOG_LOSS = "log10_min_train_loss"
# Of all factors but these two, less is held to be better; a task alone has neither.
_LIKENESS = ("similarity", "mean_cosine")
_SUMMARIES = (LOG_LOSS, *FACTORS, *_LIKENESS)
_NUMBERS = ("delta", "low", "high", "significant", "relative", "ratio", "z")
_SPARSE = "not recorded often enough: the table of runs says which values a run lacks"
_FEW = "one run on a side, so descriptive only: no interval"


def delta_rows(
    comparison: Comparison, summaries: pd.DataFrame, options: FactorOptions
) -> Iterator[dict[str, Any]]:
    """Yield the rows of one comparison: factors at the end, then at equal training loss.

    Parameters
    ----------
    comparison
        The group and its baseline.
    summaries
        Rows of the runs, as :func:`trajlab.analysis.summary.summarise_runs` makes them.
    options
        Options of the analysis.
    """
    sides = comparison.group, comparison.baseline
    missing = "" if comparison.baseline else f"no baseline trains {comparison.task}"
    tables = [_of(summaries, side, comparison.task) for side in sides]
    metrics = dict.fromkeys(pd.concat([table["metric"] for table in tables]))
    for metric in metrics or [options.metric or ""]:
        scored = [table[table["metric"] == metric] for table in tables]
        better = 1 if pd.concat([table["higher_is_better"] for table in scored]).all() else -1
        values = [_column(table, METRIC) for table in scored]
        row = _row(comparison, METRIC, END, values, better, options, missing, metric)
        yield row | _as_gap_tests_it(comparison, metric, better, options)
    tables = [table.drop_duplicates("run") for table in tables]
    alone = any(side is None or not _in_company(side, comparison.task) for side in sides)
    for factor in (name for name in _SUMMARIES if _any_run_has(summaries, name)):
        if alone and factor in _LIKENESS:
            continue
        values = [_column(table, factor) for table in tables]
        why = missing or (_no_logarithm(tables) if factor == LOG_LOSS else "")
        yield _row(comparison, factor, END, values, _better(factor), options, why)
    for factor in FACTORS:
        read_runs = [_series(side, comparison.task, factor, options.axis) for side in sides]
        if not any(read_runs):
            continue
        for loss in options.at or [_common(read_runs, options.rule, options.axis)]:
            values, shifts, reason = _at(read_runs, float(loss), options.rule, options.axis)
            place = f"{loss:.4g}" if np.isfinite(loss) else "matched"
            why = missing or reason
            row = _row(
                comparison, factor, place, values, _better(factor), options, why, shifts=shifts
            )
            counts = [sum(run.no_logarithm for run in side) for side in read_runs]
            yield row | {"n_no_logarithm": counts[0], "n_no_logarithm_baseline": counts[1]}


def factor_difference(
    values: FloatArray,
    baseline: FloatArray,
    confidence: float = 0.95,
    *,
    shifts: FloatArray | None = None,
) -> dict[str, Any]:
    """Compare one factor of two groups of runs.

    Parameters
    ----------
    values, baseline
        (n,) and (m,) finite numbers, one a run.
    confidence
        Coverage of Welch's interval.
    shifts
        As in :func:`trajlab.analysis.statistics.difference.difference`.

    Returns
    -------
    dict
        `delta, low, high, significant, relative, ratio, z, p_value, n_baseline, n_runs, reason`;
        `relative` is the difference over the size of the baseline's mean, `z` over its standard
        error, and `ratio` that of two means above 0.
    """
    counts = {"n_baseline": len(baseline), "n_runs": len(values)}
    if not (len(values) and len(baseline)):
        nothing = dict.fromkeys(_NUMBERS, np.nan)
        return {**nothing, "p_value": np.nan, "significant": False, **counts, "reason": ""}
    change = difference(values, baseline, "t", confidence, shifts=shifts)
    means = float(values.mean()), float(baseline.mean())
    size = abs(means[1])
    delta, error = float(change.estimate), float(change.error)
    few = min(len(values), len(baseline)) < 2
    flat = not few and bool(np.isnan(error))
    return {
        "delta": delta,
        "low": float(change.low),
        "high": float(change.high),
        "significant": bool(change.significant),
        "relative": delta / size if size else np.nan,
        "ratio": float(means[0] / means[1]) if min(means) > 0 else np.nan,
        "z": np.nan if few or flat else delta / error,
        "p_value": float(change.p_value),
        **counts,
        "reason": _FEW if few else "runs of a side do not differ, so no interval" if flat else "",
    }


def _row(
    comparison: Comparison,
    factor: str,
    at: str,
    values: Sequence[FloatArray],
    better: int,
    options: FactorOptions,
    missing: str,
    metric: str = "",
    *,
    shifts: FloatArray | None = None,
) -> dict[str, Any]:
    known = [side[np.isfinite(side)] for side in values]
    numbers = factor_difference(known[0], known[1], options.confidence, shifts=shifts)
    left_out = sum(len(side) for side in values) - sum(len(side) for side in known)
    absent = _SPARSE if np.isnan(numbers["delta"]) else ""
    reason = numbers.pop("reason")
    return comparison.head(numbers.pop("n_baseline"), numbers.pop("n_runs")).row(
        "; ".join(filter(None, (missing, reason))) or absent,
        factor=factor,
        metric=metric,
        at=at,
        **options.axis.columns,
        **numbers,
        better=better,
        n_missing=left_out,
        n_no_logarithm=0,
        n_no_logarithm_baseline=0,
    )


def _as_gap_tests_it(
    comparison: Comparison, metric: str, better: int, options: FactorOptions
) -> dict[str, Any]:
    """Return the difference of the metric as columns, so that both analyses establish the same."""
    sides = [
        Side.of(group, comparison.task, metric, options)
        for group in (comparison.group, comparison.baseline)
    ]
    if not all(side.runs for side in sides):
        return {}
    change = final_difference(sides[0], sides[1], options.best, options.confidence)
    ends = sorted([better * float(change.low), better * float(change.high)])
    delta, error = better * float(change.estimate), float(change.error)
    return {
        **{"delta": delta, "low": ends[0], "high": ends[1]},
        **{"significant": bool(change.significant), "p_value": float(change.p_value)},
        "z": delta / error,
    }


def _any_run_has(summaries: pd.DataFrame, factor: str) -> bool:
    """Tell whether any run has the factor, or a reason why it could not be summed up."""
    sparse = summaries["reason"].str.contains(f"{factor}: ", regex=False)
    column = "min_train_loss" if factor == LOG_LOSS else factor
    return bool(summaries[column].notna().any() or sparse.any())


def _in_company(side: Group, task: str) -> bool:
    """Tell whether any run of a side trains the task beside others."""
    return any(len(run.tasks) > 1 for run in side.with_task(task))


def _of(summaries: pd.DataFrame, side: Group | None, task: str) -> pd.DataFrame:
    """Return the rows of the side's runs."""
    paths = [str(run.path) for run in side.with_task(task)] if side else []
    return summaries[summaries["run"].isin(paths) & (summaries["task"] == task)]


def _column(table: pd.DataFrame, factor: str) -> FloatArray:
    if factor == LOG_LOSS:
        losses = table["min_train_loss"].to_numpy(float)
        return np.asarray(np.log10(np.where(losses > 0, losses, np.nan)))
    return table[factor].to_numpy(float)


def _no_logarithm(tables: Sequence[pd.DataFrame]) -> str:
    """Say how many runs' lowest loss has none; empty if every one has."""
    losses = pd.concat([table["min_train_loss"] for table in tables])
    number = int((losses <= 0).sum())
    why = "whose lowest training loss is at or below 0, which has no logarithm"
    return f"{number} of {len(losses)} runs left out, {why}" if number else ""


def _better(factor: str) -> int:
    """Return 1 where more is better, -1 where less is."""
    return 1 if factor in _LIKENESS else -1


def _series(side: Group | None, task: str, factor: str, axis: Axis) -> list[Evaluations]:
    """Return each run's factor as a score over the axis; runs without the factor left out."""
    runs = side.with_task(task) if side else ()
    every = (over_axis(run, task, FACTORS[factor][0], axis) for run in runs)
    return [series for series in every if series.step.size and not series.diverged]


def _common(sides: Sequence[Sequence[Evaluations]], rule: str, axis: Axis) -> float:
    """Return the lowest loss on all runs' curves, NaN without one or without runs on both sides."""
    if not all(sides):
        return np.nan
    placed = [[run for run in side if run.placed.step.size] for side in sides]
    if not all(placed):
        return np.nan
    curves = [[RULES[rule](run) for run in side] for side in placed]
    return float(axis.value(common_loss(placed, curves).log_loss))


def _at(
    sides: Sequence[Sequence[Evaluations]], value: float, rule: str, axis: Axis
) -> tuple[list[FloatArray], FloatArray | None, str]:
    """Read every run's factor at a loss, and what the error of the loss does to each side's mean.

    And why it cannot be read, where it cannot.
    """
    if not all(sides):
        return [np.empty(0), np.empty(0)], None, "not recorded on both sides"
    if np.isnan(value):
        unread = [np.full(len(side), np.nan) for side in sides]
        return unread, None, f"no {axis.name} is common to all"
    point = axis.log_level(value)
    values = []
    for side in sides:
        at = np.array([float(RULES[rule](run).at(point)) for run in side])
        values.append(np.full(len(side), np.nan) if in_hole(point, side) else at)
    missing = any(np.isnan(side).all() for side in values)
    if missing:
        return values, None, f"outside the {axis.name} that was measured"
    read = [
        [run for run, one in zip(side, at, strict=True) if np.isfinite(one)]
        for side, at in zip(sides, values, strict=True)
    ]
    return values, level_effects(read, RULES[rule], point), ""
