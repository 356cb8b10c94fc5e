"""Correlation of two columns of units, with an interval and a permutation test.

A unit is what was varied independently; the checkpoints of a run, and the seeds of a configuration,
are not units.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.analysis.statistics.resampling import DRAWS, IntArray, Test, permutation_test

POWER = 0.8
FEWEST = 3
FEWEST_BOOTSTRAP = 20  # below, its interval covers too little: see docs/statistics.md
MOST_PAIRED = 100  # units up to which Kendall's pairs are permuted in full


@dataclass(frozen=True)
class Association:
    """One correlation.

    Attributes
    ----------
    estimate
        The correlation; the partial one where something is given.
    low, high
        Its interval.
    p_value
        Two-sided p of the permutation test: twice the smaller tail.
    smallest_p
        The smallest p that the test could have given for these values.
    n
        Units.
    smallest_detectable
        The correlation that a two-sided test of level 1 − confidence finds with power .8.
    p_equivalence
        Of the test that the correlation lies within ± the margin; NaN without a margin.
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
    p_equivalence: float = np.nan
    reason: str = ""


@dataclass(frozen=True)
class _Statistic:
    """A correlation as the cosine of scores: those of units, spread over units or their pairs.

    The variance of Fisher's z is `variance` / (n − `lost`).
    """

    rank: Callable[[FloatArray], FloatArray]
    spread: Callable[[FloatArray], FloatArray]
    variance: float
    lost: int

    def scores(self, values: FloatArray) -> FloatArray:
        """Return scores of unit norm along the last axis; NaN for constant values."""
        spread = self.spread(self.rank(values))
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


def _centred(values: FloatArray) -> FloatArray:
    return np.asarray(values - values.mean(axis=-1, keepdims=True))


def _pair_signs(values: FloatArray) -> FloatArray:
    first, second = np.triu_indices(values.shape[-1], k=1)
    return np.asarray(np.sign(values[..., first] - values[..., second]))


STATISTICS: Mapping[str, _Statistic] = {
    "pearson": _Statistic(_identity, _centred, 1.0, 3),
    "spearman": _Statistic(_ranks, _centred, 1.06, 3),
    "kendall": _Statistic(_identity, _pair_signs, 0.437, 4),
}


def associate(
    x: FloatArray,
    y: FloatArray,
    statistic: str = "pearson",
    confidence: float = 0.95,
    seed: int = 0,
    *,
    given: FloatArray | None = None,
    interval: str = "fisher",
    margin: float | None = None,
) -> Association:
    """Correlate two columns, one entry a unit.

    Parameters
    ----------
    x, y
        (n,) finite values.
    statistic
        ``pearson``, ``spearman`` or ``kendall`` (τ-b).
    confidence
        Coverage of the interval; its complement is the level of the test.
    seed
        Of the permutations, and of the bootstrap.
    given
        (n,) finite values to hold fixed: the correlation is the partial one, and units are
        permuted within equal values only.
    interval
        ``fisher`` (z) or ``bootstrap`` (BCa over units; none below 20 of them).
    margin
        With it, two one-sided tests of |correlation| ≥ margin.

    Returns
    -------
    Association
        With a `reason` and no numbers for fewer than three units or a constant column.

    References
    ----------
    R. A. Fisher (1921), Metron 1: the z interval, and that each given column costs one unit.
    E. C. Fieller, H. O. Hartley, E. S. Pearson (1957), Biometrika 44: the variance of z for ranks
    and for τ. M. G. Kendall (1942), Biometrika 32: partial τ.
    """
    n = len(x)
    if n < FEWEST:
        return Association(n=n, reason=f"fewer than {FEWEST} units")
    kind, held = STATISTICS[statistic], int(given is not None)
    error = kind.error(n, held)
    z = stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(POWER)
    known: dict[str, Any] = {"n": n, "smallest_detectable": float(np.tanh(z * error))}
    columns = {"x": x, "y": y} | ({} if given is None else {"given": given})
    for name, values in columns.items():
        if np.ptp(values) == 0:
            return Association(**known, reason=f"{name} is constant")
    estimate = float(_correlation(kind, *columns.values()))
    if np.isnan(estimate):
        return Association(**known, reason="x or y is determined by what is given")
    test = _test(statistic, x, y, given, seed)
    if interval == "bootstrap":
        low, high = _bootstrap(kind, list(columns.values()), confidence, seed)
    else:
        half_width = stats.norm.ppf((1 + confidence) / 2) * error
        low, high = np.tanh([_atanh(estimate) - half_width, _atanh(estimate) + half_width])
    reasons = {
        f"no interval for {n} units": np.isnan(low),
        "no two units have the same given value, so none can be exchanged": np.isnan(test.p_value),
        f"cannot reach significance: the smallest p is {test.smallest_p:.2g}": (
            np.isfinite(test.p_value) and test.smallest_p > 1 - confidence
        ),
    }
    return Association(
        estimate=estimate,
        low=float(low),
        high=float(high),
        p_value=test.p_value,
        smallest_p=test.smallest_p,
        **known,
        p_equivalence=np.nan if margin is None else _equivalence(estimate, margin, error),
        reason="; ".join(sentence for sentence, holds in reasons.items() if holds),
    )


def _correlation(
    kind: _Statistic, x: FloatArray, y: FloatArray, given: FloatArray | None = None
) -> FloatArray:
    """Return the (partial) correlation along the last axis, NaN where it is undefined."""
    a, b = kind.scores(x), kind.scores(y)
    found = (a * b).sum(axis=-1)
    if given is not None:
        c = kind.scores(given)
        to_x, to_y = (a * c).sum(axis=-1), (b * c).sum(axis=-1)
        left = (1 - to_x**2) * (1 - to_y**2)
        found = (found - to_x * to_y) / np.sqrt(np.where(left > 1e-12, left, np.nan))
    return np.asarray(np.clip(found, -1.0, 1.0))


def _test(
    statistic: str, x: FloatArray, y: FloatArray, given: FloatArray | None, seed: int
) -> Test:
    """Permute x within equal given values.

    That leaves the correlations with what is given as they are, so the partial correlation and the
    plain one order the permutations alike.
    """
    kind, n = STATISTICS[statistic], len(x)
    paired, many = statistic == "kendall", n > MOST_PAIRED
    if paired and many and given is None:
        found = stats.kendalltau(x, y, method="asymptotic")
        return Test(float(found.statistic), float(found.pvalue), 0.0)
    values, fixed = kind.rank(x), kind.scores(y)
    unit = fixed / np.linalg.norm(kind.spread(values))
    if not paired:  # centring commutes with permuting
        values = kind.spread(values)

    def correlate(index: IntArray) -> FloatArray:
        return np.asarray((kind.spread(values[index]) if paired else values[index]) @ unit)

    strata = np.zeros(n, np.intp) if given is None else np.unique(given, return_inverse=True)[1]
    resamples = 999 if paired and many else DRAWS
    return permutation_test(correlate, strata, seed, resamples=resamples, width=fixed.size)


def _bootstrap(
    kind: _Statistic, columns: list[FloatArray], confidence: float, seed: int
) -> tuple[float, float]:
    n, width = len(columns[0]), kind.scores(columns[0]).size
    if n < FEWEST_BOOTSTRAP or (width > n and n > MOST_PAIRED):
        return np.nan, np.nan
    with warnings.catch_warnings():  # a sample without spread leaves no interval, which is said
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        found = stats.bootstrap(
            columns,
            lambda *parts, axis=-1: _correlation(kind, *parts),
            paired=True,
            vectorized=True,
            n_resamples=DRAWS,
            batch=max(1, 2**21 // width),
            confidence_level=confidence,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return float(found.low), float(found.high)


def _equivalence(estimate: float, margin: float, error: float) -> float:
    """Return the larger p of the two one-sided tests, on Fisher's scale."""
    z, edge = _atanh(estimate), np.arctanh(margin)
    return float(stats.norm.cdf(max(z - edge, -edge - z) / error))


def _atanh(value: float) -> float:
    with np.errstate(divide="ignore"):  # ±1 has an interval of no width
        return float(np.arctanh(value))
