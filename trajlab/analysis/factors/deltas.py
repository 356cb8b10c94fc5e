"""The difference of each factor between a group and its baseline, at the end and at equal loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from trajlab.analysis.factors.options import FactorOptions
from trajlab.analysis.factors.quadrants import END, METRIC
from trajlab.analysis.runs.common_loss import common_loss
from trajlab.analysis.runs.curve import RULES, in_hole
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.groups import Comparison, Group
from trajlab.analysis.runs.quantities import over_loss
from trajlab.analysis.statistics.intervals import FloatArray, welch
from trajlab.analysis.summary import FACTORS
from trajlab.lazy import pd

LOG_LOSS = "log10_min_train_loss"
# Of all factors but these two, less is held to be better.
_MORE_IS_BETTER = ("similarity", "mean_cosine")
_SUMMARIES = (LOG_LOSS, *FACTORS, "similarity", "mean_cosine")
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
        directions = pd.concat([table["higher_is_better"] for table in scored])
        values = [_column(table, METRIC) for table in scored]
        better = 1 if directions.all() else -1
        yield _row(comparison, METRIC, END, values, better, options, missing, metric)
    tables = [table.drop_duplicates("run") for table in tables]
    for factor in (name for name in _SUMMARIES if _any_run_has(summaries, name)):
        values = [_column(table, factor) for table in tables]
        yield _row(comparison, factor, END, values, _better(factor), options, missing)
    for factor in FACTORS:
        read_runs = [_series(side, comparison.task, factor) for side in sides]
        if not any(read_runs):
            continue
        for loss in options.at or [_common(read_runs, options.rule)]:
            values, reason = _at(read_runs, float(loss), options.rule)
            place = f"{loss:.4g}" if np.isfinite(loss) else "matched"
            why = missing or reason
            yield _row(comparison, factor, place, values, _better(factor), options, why)


def factor_difference(
    values: FloatArray, baseline: FloatArray, confidence: float = 0.95
) -> dict[str, Any]:
    """Compare one factor of two groups of runs.

    Parameters
    ----------
    values, baseline
        (n,) and (m,) finite numbers, one a run.
    confidence
        Coverage of Welch's interval.

    Returns
    -------
    dict
        `delta, low, high, significant, relative, z, p_value, n_baseline, n_runs, reason`;
        `relative` is the difference over the size of the baseline's mean, `z` over its standard
        error.
    """
    counts = {"n_baseline": len(baseline), "n_runs": len(values)}
    if not (len(values) and len(baseline)):
        nothing = dict.fromkeys(("delta", "low", "high", "significant", "relative", "z"), np.nan)
        return {**nothing, "p_value": np.nan, "significant": False, **counts, "reason": ""}
    difference = welch(values, baseline, confidence)
    size = abs(float(baseline.mean()))
    delta, error = float(difference.estimate), float(difference.error)
    few = min(len(values), len(baseline)) < 2
    flat = not few and bool(np.isnan(error))
    return {
        "delta": delta,
        "low": float(difference.low),
        "high": float(difference.high),
        "significant": bool(difference.significant),
        "relative": delta / size if size else np.nan,
        "z": np.nan if few or flat else delta / error,
        "p_value": float(difference.p_value),
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
) -> dict[str, Any]:
    known = [side[np.isfinite(side)] for side in values]
    numbers = factor_difference(known[0], known[1], options.confidence)
    left_out = sum(len(side) for side in values) - sum(len(side) for side in known)
    absent = "not recorded often enough" if np.isnan(numbers["delta"]) else ""
    reason = numbers.pop("reason")
    return comparison.head(numbers.pop("n_baseline"), numbers.pop("n_runs")).row(
        missing or absent or reason,
        factor=factor,
        metric=metric,
        at=at,
        **numbers,
        better=better,
        n_missing=left_out,
    )


def _any_run_has(summaries: pd.DataFrame, factor: str) -> bool:
    """Tell whether any run has the factor, or a reason why it could not be summed up."""
    sparse = summaries["reason"].str.contains(f"{factor}: ", regex=False)
    column = "min_train_loss" if factor == LOG_LOSS else factor
    return bool(summaries[column].notna().any() or sparse.any())


def _of(summaries: pd.DataFrame, side: Group | None, task: str) -> pd.DataFrame:
    """Return the rows of the side's runs."""
    paths = [str(run.path) for run in side.with_task(task)] if side else []
    return summaries[summaries["run"].isin(paths) & (summaries["task"] == task)]


def _column(table: pd.DataFrame, factor: str) -> FloatArray:
    if factor == LOG_LOSS:
        return np.asarray(np.log10(table["min_train_loss"].to_numpy(float)))
    return table[factor].to_numpy(float)


def _better(factor: str) -> int:
    """Return 1 where more is better, -1 where less is."""
    return 1 if factor in _MORE_IS_BETTER else -1


def _series(side: Group | None, task: str, factor: str) -> list[Evaluations]:
    """Return each run's factor as a score over its training loss; runs without one left out."""
    runs = side.with_task(task) if side else ()
    every = (over_loss(run, task, FACTORS[factor][0]) for run in runs)
    return [series for series in every if series.step.size and not series.diverged]


def _common(sides: Sequence[Sequence[Evaluations]], rule: str) -> float:
    """Return the lowest loss on all runs' curves, NaN without one or without runs on both sides."""
    if not all(sides):
        return np.nan
    return float(
        10 ** common_loss(sides, [[RULES[rule](run) for run in side] for side in sides]).log_loss
    )


def _at(
    sides: Sequence[Sequence[Evaluations]], loss: float, rule: str
) -> tuple[list[FloatArray], str]:
    """Read every run's factor at a loss; and why it cannot be read, where it cannot."""
    if not all(sides):
        return [np.empty(0), np.empty(0)], "not recorded on both sides"
    if np.isnan(loss):
        return [np.full(len(side), np.nan) for side in sides], "no training loss is common to all"
    point = np.log10(loss)
    values = []
    for side in sides:
        at = np.array([float(RULES[rule](run).at(point)) for run in side])
        values.append(np.full(len(side), np.nan) if in_hole(point, side) else at)
    unread = any(np.isnan(side).all() for side in values)
    return values, "outside the losses that were measured" if unread else ""
