"""What the numbers allow one to say about each task, in words; nothing stronger.

Δ is the difference of the reported scores, positive when better than the baseline; it is split
into what is there at equal training loss, what comes with the difference in attained loss, and what
comes from the choice of checkpoint. Whether a term differs from 0 is decided by its t test,
adjusted by Holm's method over the tasks of a group. Many tasks are summed up.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from trajlab.analysis.conflict.sentences import of_batches, of_corrected, of_shares
from trajlab.analysis.diagnosis.statements import of_correlation, of_factor, of_factors, of_front
from trajlab.analysis.factors.quadrants import END
from trajlab.analysis.gap.decomposition import TERMS
from trajlab.analysis.gap.sentences import kind, of_gap, of_many
from trajlab.analysis.statistics.multiplicity import holm
from trajlab.analysis.wording import FEWEST_RUNS, MOST, Row, Statement

_COUNTS = ["baseline", "n_baseline", "n_runs"]
Told = Iterator[tuple[Row, str, Statement]]  # the row it is about, its task or none, what is said


def verdict(
    gap: pd.DataFrame | None = None,
    conflict: pd.DataFrame | None = None,
    correlations: pd.DataFrame | None = None,
    *,
    factors: pd.DataFrame | None = None,
    tasks: pd.DataFrame | None = None,
    front: pd.DataFrame | None = None,
    margin: float | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Put the tables of the analyses into words.

    Parameters
    ----------
    gap
        ``summary`` of :func:`trajlab.analysis.gap`.
    conflict
        ``summary`` of :func:`trajlab.analysis.conflict`.
    correlations
        Of :func:`trajlab.analysis.correlate`; the ranks speak.
    factors
        ``delta`` of :func:`trajlab.analysis.factors`; the differences at equal loss speak.
    tasks
        Of :func:`trajlab.analysis.conflict`; the shares of the gradient norm speak.
    front
        ``distance`` of :func:`trajlab.analysis.front`.
    margin
        δ, the largest difference that does not matter, in units of the metric. Without it,
        equivalence is not tested and no number of seeds is given.
    confidence
        Of the intervals in `gap`.

    Returns
    -------
    DataFrame
        One row a sentence: the group's keys, `task` (empty where a sentence is of a whole group),
        `baseline, n_baseline, n_runs, metric, sentence`, its `numbers` as text, and the `reason`
        where some are missing.
    """
    rows: list[dict[str, Any]] = []
    if gap is not None:
        rows += _rows(gap, _of_gaps(adjust(gap), margin, confidence))
    if factors is not None:
        rows += _rows(factors, _of_factors(factors, confidence))
    if conflict is not None:
        rows += _rows(conflict, _of_conflict(conflict))
    if tasks is not None:
        parts = tasks.groupby(_keys(tasks), sort=False)
        rows += _rows(tasks, ((own[0], "", of_shares(own)) for own in _records_of(parts)))
    if front is not None:
        rows += _rows(front, ((row, "", of_front(row)) for row in _records(front)))
    if correlations is not None:
        ranks = _records(correlations[correlations["statistic"] == "spearman"])
        told = ((row, row["task"], of_correlation(row, confidence)) for row in ranks)
        rows += _rows(correlations, told)
    return pd.DataFrame(rows)


def adjust(gap: pd.DataFrame) -> pd.DataFrame:
    """Add `…_p_adjusted` for each term: Holm's method over the tasks of a group, for each metric.

    Parameters
    ----------
    gap
        ``summary`` of :func:`trajlab.analysis.gap`.
    """
    adjusted = gap.copy()
    for _, rows in gap.groupby([*_keys(gap), "metric"], sort=False):
        for term in TERMS:
            adjusted.loc[rows.index, f"{term}_p_adjusted"] = holm(rows[f"{term}_p"])
    return adjusted


def _of_gaps(gap: pd.DataFrame, margin: float | None, confidence: float) -> Told:
    """Few tasks each in full; of many the sum, then the clearest of those that differ."""
    for rows in _records_of(gap.groupby([*_keys(gap), "metric"], sort=False)):
        compared = [row for row in rows if np.isfinite(row["delta"])]
        missing = [row for row in rows if not np.isfinite(row["delta"])]
        shown = compared
        if len(compared) > MOST:
            yield compared[0], "", of_many(compared, margin, confidence)
            enough = [r for r in compared if min(r["n_runs"], r["n_baseline"]) >= FEWEST_RUNS]
            clear = [r for r in enough if kind(r, None, confidence) != "unclear"]
            shown = sorted(clear, key=lambda row: float(row["delta_p"]))[:MOST]
        for row in shown:
            for said in of_gap(row, margin, confidence):
                yield row, row["task"], said
        if len(missing) > MOST:
            sentence = f"Not compared: {len(missing)} tasks, such as {missing[0]['task']}: "
            yield missing[0], "", (f"{sentence}{missing[0]['reason']}.", {"n_tasks": len(missing)})
        else:
            for row in missing:
                yield row, row["task"], next(of_gap(row, margin, confidence))


def _of_factors(delta: pd.DataFrame, confidence: float) -> Told:
    """Say which factors differ at equal loss, adjusted over the tasks of a group."""
    matched = delta[(delta["at"] != END) & delta["p_value"].notna()]
    for rows in _records_of(matched.groupby([*_keys(delta), "factor"], sort=False)):
        p_values = holm(pd.Series([row["p_value"] for row in rows]))
        adjusted = [{**row, "p_adjusted": p} for row, p in zip(rows, p_values, strict=True)]
        differ = [row for row in adjusted if row["p_adjusted"] < 1 - confidence]
        if len(rows) > MOST and differ:
            yield rows[0], "", of_factors(rows[0]["factor"], differ, len(rows))
            continue
        for row in differ:
            yield row, row["task"], of_factor(row)


def _of_conflict(summary: pd.DataFrame) -> Told:
    total = summary[summary["layer"] == "all"]
    for pairs in _records_of(total.groupby(_keys(summary), sort=False)):
        for said in (*of_corrected(pairs), of_batches(pairs)):
            yield pairs[0], "", said


def _rows(table: pd.DataFrame, told: Told) -> Iterator[dict[str, Any]]:
    keys = _keys(table)
    for row, task, (sentence, numbers) in told:
        known = {name: value for name, value in numbers.items() if np.isfinite(value)}
        yield {
            **{key: row[key] for key in keys},
            "task": task,
            **{key: row[key] for key in _COUNTS},
            "metric": row.get("metric", ""),
            "sentence": sentence,
            "numbers": ", ".join(f"{name} = {value:.6g}" for name, value in known.items()),
            "reason": row["reason"] if task else "",
        }


def _keys(frame: pd.DataFrame) -> list[str]:
    """Return the columns that name a group: those before the task, or the baseline."""
    columns = list(frame.columns)
    end = min(columns.index(name) for name in ("task", "baseline") if name in columns)
    return columns[:end]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False)]


def _records_of(groups: Any) -> Iterator[list[dict[str, Any]]]:
    return (_records(part) for _, part in groups)
