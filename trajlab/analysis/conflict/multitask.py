"""Conflict of all tasks together, and how much of the gradient each task has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    rows: pd.DataFrame, keys: Sequence[str], measures: Sequence[str], confidence: float
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
    keys, measures = list(keys), list(measures)
    means = {
        end: part.groupby([*keys, "run"], sort=False)[measures].mean()
        for end, part in (("", rows), *_ends(rows, keys))
    }
    over = {end: _over_runs(means[end], keys) for end in ("early", "late")}
    made = []
    parts = means[""].groupby(keys, sort=False) if keys else [((), means[""])]
    for names, part in parts:
        row: dict[str, Any] = dict(zip(keys, names, strict=True))
        for name in measures:
            mean = mean_interval(part[name].dropna().to_numpy(), confidence)
            interval = (mean.estimate, mean.low, mean.high)
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))
            row |= {f"{name}_{end}": over[end][name].get(names, np.nan) for end in over}
        made.append(row)
    floats = pd.DataFrame(made)
    return floats.astype({name: float for name in floats if name not in keys})


def _ends(rows: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of the first and of the last tenth of the steps that each run recorded."""
    steps = rows.groupby([*keys, "run"], sort=False)["step"]
    place, last = steps.rank(method="dense"), steps.transform("nunique")
    number = np.ceil(SHARE * last)
    yield "early", rows[place <= number]
    yield "late", rows[place > last - number]


def _over_runs(means: pd.DataFrame, keys: Sequence[str]) -> dict[str, dict[tuple[Any, ...], float]]:
    """Return the mean over runs of each measure, by the values of the keys."""
    if not keys:
        return {str(name): {(): float(means[name].mean())} for name in means}
    over = means.groupby(level=list(keys), sort=False).mean()
    places = [name if isinstance(name, tuple) else (name,) for name in over.index]
    return {str(name): dict(zip(places, over[name].tolist(), strict=True)) for name in over}
