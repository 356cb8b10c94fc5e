"""Correlations as cosines: the scores of units, or of their pairs, over all units or in strata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.lazy import stats


@dataclass(frozen=True)
class Statistic:
    """A correlation as the cosine of scores: those of units, spread over units or their pairs.

    The variance of Fisher's z is `variance` / (n − `lost`).
    """

    rank: Callable[[FloatArray], FloatArray]
    spread: Callable[[FloatArray, FloatArray | None], FloatArray]
    variance: float
    lost: int

    def scores(self, values: FloatArray, strata: FloatArray | None = None) -> FloatArray:
        """Return scores of unit norm along the last axis; NaN for values constant in all strata."""
        spread = self.spread(self.rank(values), strata)
        norm = np.linalg.norm(spread, axis=-1, keepdims=True)
        return np.asarray(spread / np.where(norm > 0, norm, np.nan))

    def error(self, n: int, given: int) -> float:
        """Return the standard error of z, NaN where no unit is left to estimate it."""
        free = n - self.lost - given
        return float(np.sqrt(self.variance / free)) if free > 0 else np.nan


def _identity(values: FloatArray) -> FloatArray:
    return values


def _ranks(values: FloatArray) -> FloatArray:
    return np.asarray(stats.rankdata(values, axis=-1), float)


def _centred(values: FloatArray, strata: FloatArray | None = None) -> FloatArray:
    """Take the mean off, or in each stratum its own."""
    if strata is None:
        return np.asarray(values - values.mean(axis=-1, keepdims=True))
    centred = np.array(np.broadcast_to(values, np.broadcast_shapes(values.shape, strata.shape)))
    for level in np.unique(strata):
        members = strata == level
        size = np.maximum(members.sum(axis=-1, keepdims=True), 1)
        centred -= members * ((values * members).sum(axis=-1, keepdims=True) / size)
    return centred


def _pair_signs(values: FloatArray, strata: FloatArray | None = None) -> FloatArray:
    """Return the order of each pair of units, or of those of one stratum alone."""
    first, second = np.triu_indices(values.shape[-1], k=1)
    signs = np.sign(values[..., first] - values[..., second])
    return np.asarray(
        signs if strata is None else signs * (strata[..., first] == strata[..., second])
    )


STATISTICS: Mapping[str, Statistic] = {
    "pearson": Statistic(_identity, _centred, 1.0, 3),
    "spearman": Statistic(_ranks, _centred, 1.06, 3),
    "kendall": Statistic(_identity, _pair_signs, 0.437, 4),
}
