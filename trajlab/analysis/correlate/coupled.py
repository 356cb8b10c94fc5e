"""The sign error over environments: two configurations that differ in one hyper-parameter alone.

An environment is a directed pair of configurations, (a to b) and (b to a); its error is the share
of the pairs of their runs, one of each, that x orders unlike y. Runs are not averaged first: that
would leave one pair an environment, which errs or does not.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from trajlab.analysis.correlate.association import Association
from trajlab.analysis.correlate.granulation import NO_INTERVAL, missing, one_axis_pairs, tested
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.analysis.statistics.resampling import IntArray, permutation_test

FEWEST_EFFECTIVE = 12.0  # pairs that an environment has to be worth, where pairs are weighed
LEAST_WEIGHT = 0.5


@dataclass(frozen=True)
class Environments:
    """Sign errors, one an environment in one direction; the other direction has the same.

    Attributes
    ----------
    first, second
        (e,) positions of the two configurations.
    axis
        (e,) number of the hyper-parameter they differ in.
    error
        (e,) between 0 and 1; NaN where the pairs are worth too little.
    effective
        (e,) pairs that it is worth: (Σ weight)² / Σ weight².
    """

    first: IntArray
    second: IntArray
    axis: IntArray
    error: FloatArray
    effective: FloatArray


def environments(
    x: FloatArray,
    y: FloatArray,
    configuration: IntArray,
    axes: pd.DataFrame,
    *,
    test_size: int | None = None,
) -> Environments:
    """Find how often x orders runs unlike y, in every environment.

    Parameters
    ----------
    x, y
        (n,) finite values, one a run.
    configuration
        (n,) position of its configuration in `axes`.
    axes
        (u, m) values of the m hyper-parameters of each configuration.
    test_size
        Items that y, a rate between 0 and 1, is the mean over. With it a pair weighs by how sure
        the order of its two y is, max(0, max(0, 1 − 2 exp(−m Δ²/2))² − ½), and environments that
        are worth fewer than 12 pairs are left out.

    References
    ----------
    G. K. Dziugaite et al., "In Search of Robust Measures of Generalization", NeurIPS 2020: coupled
    networks, Hoeffding's weights, and the least effective sample, which their code sets.
    """
    pairs = one_axis_pairs(axes)
    members = [np.flatnonzero(configuration == i) for i in range(len(axes))]
    count = len(pairs.first)
    error, effective = np.full(count, np.nan), np.zeros(count)
    for i, (a, b) in enumerate(zip(pairs.first, pairs.second, strict=True)):
        own, other = np.ix_(members[a], members[b])
        weight = pair_weights(y[own] - y[other], test_size)
        if (total := weight.sum()) == 0:
            continue
        effective[i] = total**2 / (weight**2).sum()
        unlike = (1 - np.sign(x[own] - x[other]) * np.sign(y[own] - y[other])) / 2
        error[i] = (weight * unlike).sum() / total
    if test_size is not None:
        error = np.where(effective < FEWEST_EFFECTIVE, np.nan, error)
    return Environments(pairs.first, pairs.second, pairs.axis, error, effective)


def pair_weights(difference: FloatArray, test_size: int | None) -> FloatArray:
    """Return how much pairs weigh: 1 without a test set, else Hoeffding's weight above one half.

    Parameters
    ----------
    difference
        Of the two y of each pair.
    test_size
        Items that y is the mean over.
    """
    if test_size is None:
        return np.ones(difference.shape)
    sure = np.maximum(0, 1 - 2 * np.exp(-test_size * difference**2 / 2)) ** 2
    return np.asarray(np.maximum(0, sure - LEAST_WEIGHT))


def sign_errors(
    x: FloatArray,
    y: FloatArray,
    configuration: IntArray,
    axes: pd.DataFrame,
    seed: int = 0,
    *,
    test_size: int | None = None,
) -> dict[str, Association]:
    """Return the mean, the 90th percentile and the largest sign error over environments.

    Parameters
    ----------
    x, y, configuration, axes, test_size
        As in :func:`environments`.
    seed
        Of the permutations of configurations, whose runs move together.

    Returns
    -------
    dict
        ``sign_error``, ``sign_error_90`` and ``worst_sign_error``; 0.5 is no better than chance.
        Their p needs as many runs of every configuration.
    """
    names = {
        "sign_error": lambda errors: errors.mean(axis=-1),
        "sign_error_90": lambda errors: np.quantile(errors, 0.9, axis=-1),
        "worst_sign_error": lambda errors: errors.max(axis=-1),
    }
    n = len(axes)
    if nothing := missing(x, y, axes):
        return dict.fromkeys(names, nothing)
    if test_size is not None and (y.min() < 0 or y.max() > 1):
        reason = "Hoeffding's weights need y between 0 and 1"
        return dict.fromkeys(names, Association(n=n, reason=reason))
    every = environments(x, y, configuration, axes, test_size=test_size)
    known = np.isfinite(every.error)
    if not known.any():
        reason = f"no environment is worth {FEWEST_EFFECTIVE:g} pairs by its test set's error"
        return dict.fromkeys(names, Association(n=n, reason=reason))
    reasons = [NO_INTERVAL]
    if not known.all():
        reasons.append(f"{(~known).sum()} of {len(known)} pairs of configurations left out")
    sizes = np.bincount(configuration, minlength=n)
    if len(set(sizes)) > 1:
        reasons.append("no p: configurations have unequal numbers of runs")
        return {
            name: Association(float(of(every.error[known])), n=n, reason="; ".join(reasons))
            for name, of in names.items()
        }
    order = np.argsort(configuration, kind="stable").reshape(n, -1)
    own, other = y[order][every.first[known]], y[order][every.second[known]]
    gap = own[:, :, None] - other[:, None, :]
    weight = pair_weights(gap, test_size)
    signs = np.sign(gap) * weight / weight.sum(axis=(1, 2), keepdims=True)
    values = x[order]

    def errors(index: IntArray) -> FloatArray:
        moved = values[index]
        a, b = moved[:, every.first[known]], moved[:, every.second[known]]
        return (1 - (np.sign(a[..., :, None] - b[..., None, :]) * signs).sum(axis=(2, 3))) / 2

    made = {}
    for name, of in names.items():
        test = permutation_test(
            lambda index, of=of: np.asarray(of(errors(index))),
            np.zeros(n, np.intp),
            seed,
            width=signs.size,
        )
        made[name] = tested(test, n, "; ".join(reasons))
    return made


def environment_frame(found: Environments, axes: pd.DataFrame) -> pd.DataFrame:
    """Return one row a directed environment: what is held, what changes, its error.

    Parameters
    ----------
    found
        The environments.
    axes
        The configurations.
    """
    rows = []
    for start, end in ((found.first, found.second), (found.second, found.first)):
        for i, (a, b) in enumerate(zip(start, end, strict=True)):
            axis = axes.columns[found.axis[i]]
            held = axes.iloc[a].drop(axis)
            rows.append(
                {
                    "axis": str(axis),
                    "from": str(axes.iloc[a][axis]),
                    "to": str(axes.iloc[b][axis]),
                    "held": ", ".join(f"{name}={value}" for name, value in held.items()),
                    "sign_error": found.error[i],
                    "effective_sample": found.effective[i],
                }
            )
    return pd.DataFrame(rows)
