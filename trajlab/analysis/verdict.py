"""What the numbers allow one to say about each task, in words; nothing stronger.

Δ is the difference of the reported scores, positive when better than the baseline; it is split
into what is there at equal training loss, what comes with the difference in attained loss, and what
comes from the choice of checkpoint. Whether a term differs from 0 is decided by Welch's test,
adjusted by Holm's method over the tasks of a group.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from trajlab.analysis.decomposition import TERMS
from trajlab.analysis.multiplicity import holm
from trajlab.analysis.statements import (
    Statement,
    of_conflict,
    of_corrected,
    of_correlation,
    of_gap,
)

_PAIR = ("task_a", "task_b")
_COUNTS = ["baseline", "n_baseline", "n_runs"]


def verdict(
    gap: pd.DataFrame | None = None,
    conflict: pd.DataFrame | None = None,
    correlations: pd.DataFrame | None = None,
    *,
    margin: float | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Put the tables of `gap`, `conflict` and `correlate` into words.

    Parameters
    ----------
    gap
        ``summary`` of :func:`trajlab.analysis.gap`.
    conflict
        ``summary`` of :func:`trajlab.analysis.conflict`.
    correlations
        Of :func:`trajlab.analysis.correlate`; the ranks speak.
    margin
        δ, the largest difference that does not matter, in units of the metric. Without it,
        equivalence is not tested and no number of seeds is given.
    confidence
        Of the intervals in `gap`.

    Returns
    -------
    DataFrame
        One row a sentence: the group's keys, `task, baseline, n_baseline, n_runs, metric,
        sentence`, its `numbers` as text, and the `reason` where some are missing.
    """
    rows: list[dict[str, Any]] = []
    if gap is not None:
        keys = [*_keys(gap, "task"), "task", *_COUNTS, "metric"]
        for row in _records(adjust(gap)):
            head = {key: row[key] for key in keys}
            statements = of_gap(row, margin, confidence)
            rows.extend(_row(head, said, row["reason"]) for said in statements)
    if conflict is not None:
        keys = _keys(conflict, "baseline")
        total = conflict[conflict["layer"] == "all"]
        for _, part in total.groupby(keys, sort=False):
            pairs = _records(part)
            first = {key: pairs[0][key] for key in (*keys, *_COUNTS)}
            for task in dict.fromkeys(pair[end] for end in _PAIR for pair in pairs):
                own = [pair for pair in pairs if task in (pair["task_a"], pair["task_b"])]
                reason = "; ".join(dict.fromkeys(filter(None, (pair["reason"] for pair in own))))
                head = {**{key: first[key] for key in keys}, "task": task, **first, "metric": ""}
                rows.extend(_row(head, said, "") for said in of_corrected(own, task))
                rows.append(_row(head, of_conflict(own, task), reason))
    if correlations is not None:
        ranks = correlations[correlations["statistic"] == "spearman"]
        keys = [*_keys(correlations, "task"), "task", *_COUNTS]
        for row in _records(ranks):
            head = {**{key: row[key] for key in keys}, "metric": ""}
            rows.append(_row(head, of_correlation(row, confidence), row["reason"]))
    return pd.DataFrame(rows)


def adjust(gap: pd.DataFrame) -> pd.DataFrame:
    """Add `…_p_adjusted` for each term: Holm's method over the tasks of a group, for each metric.

    Parameters
    ----------
    gap
        ``summary`` of :func:`trajlab.analysis.gap`.
    """
    adjusted = gap.copy()
    for _, rows in gap.groupby([*_keys(gap, "task"), "metric"], sort=False):
        for term in TERMS:
            adjusted.loc[rows.index, f"{term}_p_adjusted"] = holm(rows[f"{term}_p"])
    return adjusted


def _keys(frame: pd.DataFrame, after: str) -> list[str]:
    """Return the columns that name a group: those before `after`."""
    return list(frame.columns[: list(frame.columns).index(after)])


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False)]


def _row(head: Mapping[str, Any], statement: Statement, reason: str) -> dict[str, Any]:
    sentence, numbers = statement
    known = {name: value for name, value in numbers.items() if np.isfinite(value)}
    text = ", ".join(f"{name} = {value:.6g}" for name, value in known.items())
    return {**head, "sentence": sentence, "numbers": text, "reason": reason}
