"""Correlation of two columns of units, with an interval and a permutation test.

A unit is what was varied independently; the checkpoints of a run, and the seeds of a configuration,
are not units.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlab.analysis.correlate.scores import STATISTICS, Statistic
from trajlab.analysis.statistics.distributions import normal_quantile, normal_tail
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.analysis.statistics.resampling import DRAWS, IntArray, Test, permutation_test
from trajlab.lazy import stats

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


def associate(
    x: FloatArray,
    y: FloatArray,
    statistic: str = "pearson",
    confidence: float = 0.95,
    seed: int = 0,
    *,
    given: npt.NDArray[Any] | None = None,
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
        (n,) values to hold fixed; units are permuted within equal values only. Where they are text,
        or a value has two units or more on average, they are strata: the scores are centred within
        each, whatever the shape of their dependence on it. Else the correlation is the partial one.
    interval
        ``fisher`` (z) or ``bootstrap`` (BCa over units; none below 20 of them).
    margin
        With it, two one-sided tests of an absolute correlation ≥ margin.

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
    kind = STATISTICS[statistic]
    levels = None if given is None else np.unique(given, return_inverse=True)[1].reshape(-1)
    strata = None if given is None or levels is None else strata_of(given, levels)
    held = 0 if given is None else 1 if strata is None else int(strata.max())
    error = kind.error(n, held)
    z = normal_quantile((1 + confidence) / 2) + normal_quantile(POWER)
    known: dict[str, Any] = {"n": n, "smallest_detectable": float(np.tanh(z * error))}
    columns = {"x": x, "y": y}
    if given is not None:
        columns["given"] = np.asarray(given, float) if strata is None else strata
    for name, values in columns.items():
        if np.ptp(values) == 0:
            return Association(**known, reason=f"{name} is constant")
    of = _correlation if strata is None else _within
    estimate = float(of(kind, *columns.values()))
    if np.isnan(estimate):
        return Association(**known, reason="x or y is determined by what is given")
    test = _test(statistic, x, y, levels, strata, seed)
    if interval == "bootstrap":
        low, high = _bootstrap(kind, of, list(columns.values()), confidence, seed)
    else:
        half_width = normal_quantile((1 + confidence) / 2) * error
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
    kind: Statistic, x: FloatArray, y: FloatArray, given: FloatArray | None = None
) -> FloatArray:
    """Return the (partial) correlation along the last axis, NaN where it is undefined."""
    a, b = kind.scores(x), kind.scores(y)
    correlation = (a * b).sum(axis=-1)
    if given is not None:
        c = kind.scores(given)
        to_x, to_y = (a * c).sum(axis=-1), (b * c).sum(axis=-1)
        left = (1 - to_x**2) * (1 - to_y**2)
        correlation = (correlation - to_x * to_y) / np.sqrt(np.where(left > 1e-12, left, np.nan))
    return np.asarray(np.clip(correlation, -1.0, 1.0))


def strata_of(given: npt.NDArray[Any], levels: IntArray) -> FloatArray | None:
    """Return numbers of strata where what is given is categorical, None where it is a quantity.

    Parameters
    ----------
    given
        (n,) values.
    levels
        (n,) number of each among the distinct ones.
    """
    categorical = given.dtype.kind not in "fiub" or 2 * (levels.max() + 1) <= len(levels)
    return levels.astype(float) if categorical else None


def _within(kind: Statistic, x: FloatArray, y: FloatArray, strata: FloatArray) -> FloatArray:
    """Return the correlation of scores centred within strata, along the last axis."""
    correlation = (kind.scores(x, strata) * kind.scores(y, strata)).sum(axis=-1)
    return np.asarray(np.clip(correlation, -1.0, 1.0))


def _test(
    statistic: str,
    x: FloatArray,
    y: FloatArray,
    levels: IntArray | None,
    strata: FloatArray | None,
    seed: int,
) -> Test:
    """Permute x within equal given values.

    That leaves the correlations with what is given as they are, so the partial correlation and the
    plain one order the permutations alike; within strata only pairs of one stratum count.
    """
    kind, n = STATISTICS[statistic], len(x)
    paired, many = statistic == "kendall", n > MOST_PAIRED
    if paired and many and levels is None:
        limit = stats.kendalltau(x, y, method="asymptotic")
        return Test(float(limit.statistic), float(limit.pvalue), 0.0)
    values, fixed = kind.rank(x), kind.scores(y, strata)
    unit = fixed / np.linalg.norm(kind.spread(values, None))
    if not paired:  # centring commutes with permuting
        values = kind.spread(values, None)

    def correlate(index: IntArray) -> FloatArray:
        return np.asarray((kind.spread(values[index], None) if paired else values[index]) @ unit)

    exchangeable = np.zeros(n, np.intp) if levels is None else levels
    resamples = 999 if paired and many else DRAWS
    return permutation_test(correlate, exchangeable, seed, resamples=resamples, width=fixed.size)


def _bootstrap(
    kind: Statistic,
    of: Callable[..., FloatArray],
    columns: list[FloatArray],
    confidence: float,
    seed: int,
) -> tuple[float, float]:
    n, width = len(columns[0]), kind.scores(columns[0]).size
    if n < FEWEST_BOOTSTRAP or (width > n and n > MOST_PAIRED):
        return np.nan, np.nan
    with warnings.catch_warnings():  # a sample without spread leaves no interval, which is said
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        interval = stats.bootstrap(
            columns,
            lambda *parts, axis=-1: of(kind, *parts),
            paired=True,
            vectorized=True,
            n_resamples=DRAWS,
            batch=max(1, 2**21 // width),
            confidence_level=confidence,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return float(interval.low), float(interval.high)


def _equivalence(estimate: float, margin: float, error: float) -> float:
    """Return the larger p of the two one-sided tests, on Fisher's scale."""
    z, edge = _atanh(estimate), np.arctanh(margin)
    return float(normal_tail(-max(z - edge, -edge - z) / error))


def _atanh(value: float) -> float:
    with np.errstate(divide="ignore"):  # ±1 has an interval of no width
        return float(np.arctanh(value))
