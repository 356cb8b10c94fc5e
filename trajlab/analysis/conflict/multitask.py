"""Conflict of all tasks together, and how much of the gradient each task has."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np

from trajlab.analysis.conflict import similarity
from trajlab.analysis.statistics.intervals import FloatArray, mean_interval
from trajlab.lazy import pd

MEASURES = ("cosine_to_update", "excess", "cosine_to_others", "norm_share")
TOTALS = ("directional", "magnitude")
SHARE = 0.1  # of the recorded steps that are early, or late


def directional(gram: FloatArray) -> FloatArray:
    """Return ‖mean of the unit gradients‖² − 1/K: 0 for orthogonal tasks, below where they differ.

    `gram` are (…, K, K) inner products.

    References
    ----------
    D. Mueller, N. Andrews, M. Dredze, "Do Text-to-Text Multi-Task Learners Suffer from Task
    Conflict?", Findings of EMNLP 2022: directional conflict.
    """
    return np.asarray(similarity.cosine(gram).mean(axis=(-2, -1)) - 1 / gram.shape[-1])


def magnitude(gram: FloatArray) -> FloatArray:
    """Return the variance over tasks of squared norms over the square of their mean.

    Parameters and reference are those of :func:`directional`; 0 for equal norms.
    """
    squares = np.diagonal(gram, axis1=-2, axis2=-1)
    mean = squares.mean(axis=-1)
    return np.asarray(squares.var(axis=-1) / np.where(mean > 0, mean, np.nan) ** 2)


def norm_share(gram: FloatArray) -> FloatArray:
    """Return each task's share of the sum of gradient norms, (…, K)."""
    norms = np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1))
    total = norms.sum(axis=-1, keepdims=True)
    return np.asarray(norms / np.where(total > 0, total, np.nan))


def over_training(
    rows: pd.DataFrame, keys: Sequence[str], measures: Sequence[str], confidence: float = 0.95
) -> pd.DataFrame:
    """Return one row a key: each measure's mean over training, early and late, then over runs.

    Parameters
    ----------
    rows
        One row a run, step and key, with columns `run`, `step` and the measures.
    keys
        Columns whose values get a row each; none for one row.
    measures
        Columns to average.
    confidence
        Coverage of the t interval over runs: `…_low` to `…_high`.

    Returns
    -------
    DataFrame
        `…`, `…_low`, `…_high`, `…_early` and `…_late` for each measure: early and late are the
        first and the last tenth of a run's recorded steps.
    """
    made = []
    parts = rows.groupby(list(keys), sort=False) if keys else [((), rows)]
    for names, part in parts:
        row: dict[str, Any] = dict(zip(keys, names, strict=True))
        windows = {end: _mean_by_run(part, measures, end) for end in ("", "early", "late")}
        for name in measures:
            values = windows[""][name].dropna().to_numpy()
            mean = mean_interval(values, confidence)
            interval = (mean.estimate, mean.low, mean.high)
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))
            row |= {f"{name}_{end}": windows[end][name].mean() for end in ("early", "late")}
        made.append(row)
    floats = pd.DataFrame(made)
    return floats.astype({name: float for name in floats if name not in keys})


def _mean_by_run(rows: pd.DataFrame, measures: Sequence[str], end: str) -> pd.DataFrame:
    if end:
        last = {run: _window(part["step"].to_numpy(), end) for run, part in rows.groupby("run")}
        keep = [step in last[run] for run, step in zip(rows["run"], rows["step"], strict=True)]
        rows = rows[keep]
    return rows.groupby("run", sort=False)[list(measures)].mean()


def _window(step: FloatArray, end: str) -> set[float]:
    steps = np.unique(step)
    number = ceil(SHARE * steps.size)
    return set(steps[:number] if end == "early" else steps[-number:])
