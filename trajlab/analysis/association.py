"""Correlation of two columns of units, with an interval and a permutation test.

A unit is what was varied independently; the checkpoints of a run, and the seeds of a configuration,
are not units.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from trajlab.analysis.intervals import FloatArray

RESAMPLES = 9_999  # from 8 units on; up to 7 all n! pairings are enumerated
POWER = 0.8
FEWEST = 3


@dataclass(frozen=True)
class Association:
    """One correlation.

    Attributes
    ----------
    estimate
        The correlation.
    low, high
        Fisher's z interval.
    p_value
        Two-sided p of the permutation test: twice the smaller tail.
    smallest_p
        The smallest p that the test could have given for these values.
    n
        Units.
    smallest_detectable
        The correlation that a two-sided test of level 1 − confidence finds with power .8.
    reason
        Why numbers are missing, or cannot be significant.
    """

    estimate: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p_value: float = np.nan
    smallest_p: float = np.nan
    n: int = 0
    smallest_detectable: float = np.nan
    reason: str = ""


@dataclass(frozen=True)
class _Statistic:
    """A correlation as Pearson's of scores, and the factor of 1/(n−3) in the variance of its z."""

    scores: Callable[[FloatArray], FloatArray]
    variance: float


def _identity(values: FloatArray) -> FloatArray:
    return values


def _ranks(values: FloatArray) -> FloatArray:
    return np.asarray(stats.rankdata(values), float)


STATISTICS: Mapping[str, _Statistic] = {
    "pearson": _Statistic(_identity, 1.0),
    "spearman": _Statistic(_ranks, 1.06),
}


def associate(
    x: FloatArray,
    y: FloatArray,
    statistic: str = "pearson",
    confidence: float = 0.95,
    seed: int = 0,
) -> Association:
    """Correlate two columns, one entry a unit.

    Parameters
    ----------
    x, y
        (n,) finite values.
    statistic
        ``pearson`` or ``spearman``.
    confidence
        Coverage of the interval; its complement is the level of the test.
    seed
        Of the permutations that are drawn for more than seven units.

    Returns
    -------
    Association
        With a `reason` and no numbers for fewer than three units or a constant column.

    References
    ----------
    R. A. Fisher (1921), Metron 1: the z interval. E. C. Fieller, H. O. Hartley, E. S. Pearson
    (1957), Biometrika 44: the factor 1.06 in its variance for ranks.
    """
    n = len(x)
    if n < FEWEST:
        return Association(n=n, reason=f"fewer than {FEWEST} units")
    kind = STATISTICS[statistic]
    detectable = _detectable(n, kind.variance, confidence)
    for name, values in (("x", x), ("y", y)):
        if np.ptp(values) == 0:
            reason = f"{name} is constant"
            return Association(n=n, smallest_detectable=detectable, reason=reason)
    a, b = _standardised(kind.scores(x)), _standardised(kind.scores(y))
    estimate = float(np.clip(a @ b, -1.0, 1.0))
    p_value, smallest_p = _permute(a, b, seed)
    low, high = _interval(estimate, n, kind.variance, confidence)
    reasons = {
        "no interval for three units": n == FEWEST,
        f"cannot reach significance: the smallest p is {smallest_p:.2g}": (
            smallest_p > 1 - confidence
        ),
    }
    reason = "; ".join(sentence for sentence, holds in reasons.items() if holds)
    return Association(estimate, low, high, p_value, smallest_p, n, detectable, reason)


def _standardised(scores: FloatArray) -> FloatArray:
    centred = scores - scores.mean()
    return np.asarray(centred / np.linalg.norm(centred))


def _permute(a: FloatArray, b: FloatArray, seed: int) -> tuple[float, float]:
    """Return the two-sided p over pairings, and the smallest it could have been."""

    def correlate(sample: FloatArray, axis: int) -> FloatArray:
        return np.asarray(np.tensordot(sample, b, axes=(axis, 0)))

    test = stats.permutation_test(
        (a,),
        correlate,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=RESAMPLES,
        random_state=np.random.default_rng(seed),
    )
    null = test.null_distribution
    if null.size >= RESAMPLES:
        return float(test.pvalue), 2 / (RESAMPLES + 1)
    # Values that differ by rounding alone are one value.
    extremes = [
        np.isclose(null, end, rtol=0, atol=1e-12).mean() for end in (null.max(), null.min())
    ]
    return float(test.pvalue), float(min(1.0, 2 * min(extremes)))


def _interval(estimate: float, n: int, variance: float, confidence: float) -> tuple[float, float]:
    if n <= FEWEST:
        return np.nan, np.nan
    half_width = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(variance / (n - 3))
    with np.errstate(divide="ignore"):  # ±1 has an interval of no width
        z = np.arctanh(estimate)
    return float(np.tanh(z - half_width)), float(np.tanh(z + half_width))


def _detectable(n: int, variance: float, confidence: float) -> float:
    if n <= FEWEST:
        return np.nan
    z = stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(POWER)
    return float(np.tanh(z * np.sqrt(variance / (n - 3))))
