"""Bands that are to hold a whole curve of differences at once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from trajlab.analysis.statistics.bootstrap import BOOTSTRAP_SAMPLES
from trajlab.analysis.statistics.difference import difference
from trajlab.analysis.statistics.distributions import normal_tail, t_quantile
from trajlab.analysis.statistics.intervals import FloatArray


def simultaneous(
    runs: FloatArray,
    baseline: FloatArray,
    confidence: float = 0.95,
    *,
    pairs: bool = False,
    seed: int = 0,
    items: FloatArray | None = None,
    shifts: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return an approximate band that holds the whole curve of differences at once.

    Multiplier sup-t: residuals of whole runs, times normal draws, give the largest deviation over
    the curve in standard errors; its quantile is carried to the t distribution, for runs are few.

    Parameters
    ----------
    runs, baseline
        One row a run, one column a point: shapes (n, g) and (m, g).
    confidence, pairs, seed, items, shifts
        As in :func:`difference`.

    Returns
    -------
    low, high
        (g,) each, NaN where a group has fewer than two runs.

    References
    ----------
    J. L. Montiel Olea, M. Plagborg-Møller, "Simultaneous confidence bands", Journal of Applied
    Econometrics 2019: sup-t bands.
    """
    other: dict[str, Any] = {"pairs": pairs, "items": items, "shifts": shifts}
    pointwise = difference(runs, baseline, "t", confidence, **other)
    known = np.isfinite(pointwise.error) & (pointwise.error > 0)
    if not known.any():
        return pointwise.low, pointwise.high
    groups = [runs - baseline] if pairs else [runs, baseline]
    groups = [g[:, known] for g in groups]
    if items is not None:
        groups.append(items[known].T)
    residuals = np.concatenate([_residuals(g) for g in groups])
    if shifts is not None:
        residuals = np.concatenate([residuals, shifts[:, known]])
    deviations = (residuals / pointwise.error[known]).T @ _draws(len(residuals), seed)
    largest = np.abs(deviations, out=deviations).max(axis=0)
    # no band is narrower than the interval of one point, which the draws only come near to
    outside = np.minimum(normal_tail(np.quantile(largest, confidence)), (1 - confidence) / 2)
    half_width = -t_quantile(outside, pointwise.freedom) * pointwise.error
    return pointwise.estimate - half_width, pointwise.estimate + half_width


@lru_cache(maxsize=4)  # many comparisons are of as many runs
def _draws(rows: int, seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(BOOTSTRAP_SAMPLES, rows)).T


def _residuals(group: FloatArray) -> FloatArray:
    """Return rows whose products are the covariance of the columns' means; few for many items."""
    rows = (group - group.mean(axis=0)) / np.sqrt(len(group) * (len(group) - 1))
    return rows if len(rows) <= rows.shape[1] else np.asarray(np.linalg.qr(rows, mode="r"))
