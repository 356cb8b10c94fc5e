"""Intervals for the difference of two groups of runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlab.analysis.statistics.distributions import t_quantile, t_tail

FloatArray = npt.NDArray[np.float64]

_ROUNDING = 1e-12  # runs that differ by less, of their size, are copies


@dataclass(frozen=True)
class Difference:
    """Mean of one group of runs minus the mean of another, with its interval.

    Attributes
    ----------
    estimate, low, high
        Arrays of equal shape, or scalars; `low` and `high` are NaN where a group has fewer than
        two runs, or runs that do not differ, for then nothing tells how much runs vary.
    error, freedom
        Standard error of the estimate and its degrees of freedom; NaN where the interval is not
        a t interval.
    """

    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    error: FloatArray
    freedom: FloatArray

    @property
    def significant(self) -> npt.NDArray[np.bool_]:
        """Whether the interval excludes 0."""
        return np.asarray((self.low > 0) | (self.high < 0))

    @property
    def p_value(self) -> FloatArray:
        """Two-sided p of the t test against 0; NaN without an error."""
        return np.asarray(2 * t_tail(np.abs(self.estimate) / self.error, self.freedom))


def welch(runs: FloatArray, baseline: FloatArray, confidence: float = 0.95) -> Difference:
    """Difference of means with Welch's t interval (unequal variances).

    Parameters
    ----------
    runs, baseline
        One row a run: shapes (n, …) and (m, …). Variances use ddof = 1.
    confidence
        Coverage of the two-sided interval.

    References
    ----------
    B. L. Welch (1947), Biometrika 34, 28-35.
    """
    terms = [_variance(group) / len(group) for group in (runs, baseline)]
    variance = terms[0] + terms[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = variance**2 / (
            terms[0] ** 2 / (len(runs) - 1) + terms[1] ** 2 / (len(baseline) - 1)
        )
    error = np.sqrt(variance)
    return t_interval(runs.mean(axis=0) - baseline.mean(axis=0), error, freedom, confidence)


def mean_interval(runs: FloatArray, confidence: float = 0.95) -> Difference:
    """Mean of one group of runs, against 0, with Student's t interval.

    Parameters
    ----------
    runs
        One row a run: shape (n, …).
    confidence
        Coverage of the two-sided interval.
    """
    if len(runs) == 0:
        return Difference(*np.full((5, *runs.shape[1:]), np.nan))
    freedom = np.full(runs.shape[1:], max(len(runs) - 1, 1))
    return t_interval(runs.mean(axis=0), np.sqrt(_variance(runs) / len(runs)), freedom, confidence)


def two_sd(runs: FloatArray, baseline: FloatArray, confidence: float = 0.95) -> Difference:
    """Difference of means ± 2 (SD + SD): it excludes 0 where the two ±2 SD ranges are disjoint.

    The reading of Mueller, Dredze and Andrews (2024). The multiplier is theirs, so `confidence`
    has no effect; at three runs a side the level is about 1 %, and the power falls with more runs.

    Parameters
    ----------
    runs, baseline
        One row a run: shapes (n, …) and (m, …).
    confidence
        Not used.
    """
    del confidence
    estimate = np.asarray(runs.mean(axis=0) - baseline.mean(axis=0))
    half_width = 2 * np.asarray(np.sqrt(_variance(runs)) + np.sqrt(_variance(baseline)))
    unknown = np.full(estimate.shape, np.nan)
    return Difference(estimate, estimate - half_width, estimate + half_width, unknown, unknown)


def widen(
    found: Difference, error: FloatArray, freedom: float, confidence: float = 0.95
) -> Difference:
    """Widen an interval over runs by another standard error, such as that over test items.

    Parameters
    ----------
    found
        A difference with its t interval.
    error
        The other standard error, of the estimate's shape.
    freedom
        Its degrees of freedom.
    confidence
        Coverage.

    Returns
    -------
    Difference
        Its error is √(error over runs² + the other²), with Satterthwaite's degrees of freedom. What
        varies from run to run is in both, so that it is a little too wide.
    """
    over_runs, other = found.error**2, error**2
    total = over_runs + other
    with np.errstate(divide="ignore", invalid="ignore"):
        free = total**2 / (over_runs**2 / found.freedom + other**2 / freedom)
    return t_interval(found.estimate, np.sqrt(total), free, confidence)


def item_error(items: FloatArray) -> FloatArray:
    """Return the standard error over test items.

    Parameters
    ----------
    items
        (…, item) the difference in each item.
    """
    return np.asarray(np.sqrt(items.var(axis=-1, ddof=1) / items.shape[-1]))


def varies(group: FloatArray) -> npt.NDArray[np.bool_]:
    """Return where runs differ by more than rounding: else they are one run, or copies of it.

    Parameters
    ----------
    group
        One row a run: shape (n, …).
    """
    return np.asarray(np.ptp(group, axis=0) > _ROUNDING * np.abs(group).max(axis=0))


def _variance(group: FloatArray) -> FloatArray:
    if len(group) < 2:
        return np.full(group.shape[1:], np.nan)
    return np.where(varies(group), group.var(axis=0, ddof=1), np.nan)


def t_interval(
    estimate: FloatArray, error: FloatArray, freedom: FloatArray, confidence: float
) -> Difference:
    """Return an estimate with its t interval.

    Parameters
    ----------
    estimate, error, freedom
        Of equal shape: the estimate, its standard error and the degrees of freedom.
    confidence
        Coverage of the two-sided interval.
    """
    half_width = t_quantile((1 + confidence) / 2, freedom) * error
    return Difference(estimate, estimate - half_width, estimate + half_width, error, freedom)
