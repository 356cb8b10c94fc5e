"""The sign error over environments: two configurations that differ in one hyper-parameter alone.

An environment is a directed pair of configurations, a to b; its error is the share of the pairs of
their runs, one of each, that x orders unlike y. Runs are not averaged first: that would leave one
pair an environment, which errs or does not. Both directions have the same error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajlab.analysis.correlate.association import Association
from trajlab.analysis.correlate.granulation import (
    NO_INTERVAL,
    association_of,
    missing,
    one_axis_pairs,
)
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.analysis.statistics.resampling import IntArray, permutation_test
from trajlab.lazy import pd

FEWEST_EFFECTIVE = 12.0  # pairs that an environment has to be worth, where pairs are weighed
LEAST_WEIGHT = 0.5


def sign_error(
    x: FloatArray,
    y: FloatArray,
    axes: pd.DataFrame,
    seed: int = 0,
    *,
    worst: bool = False,
    test_size: int | None = None,
) -> Association:
    """How often x orders two runs unlike y, when one hyper-parameter alone changes.

    Parameters
    ----------
    x, y
        (n,) finite values, one a run.
    axes
        (n, m) values of the hyper-parameters; runs of equal ones differ in seed.
    seed
        Seed of the permutations of configurations, whose runs move together.
    worst
        The largest error of any environment, instead of their mean.
    test_size
        As in :func:`environments`.

    Returns
    -------
    Association
        Between 0 and 1; 0.5 is no better than chance. `n` are configurations; there is no p where
        they have unequal numbers of runs.

    References
    ----------
    G. K. Dziugaite et al., "In Search of Robust Measures of Generalization", NeurIPS 2020.
    """
    configurations = _Configurations.of(x, y, axes)
    n, pairs = len(configurations.members), one_axis_pairs(configurations.axes)
    if nothing := missing(x, y, n, pairs):
        return nothing
    if test_size is not None and (y.min() < 0 or y.max() > 1):
        return Association(n=n, reason="Hoeffding's weights need y between 0 and 1")
    errors, _ = configurations.errors(pairs.first, pairs.second, test_size)
    known = np.isfinite(errors)
    if not known.any():
        return Association(
            n=n,
            reason=f"no environment is worth {FEWEST_EFFECTIVE:g} pairs of runs whose y differ by "
            "more than their test set's error",
        )
    reasons = [NO_INTERVAL]
    if not known.all():
        reasons.append(f"{2 * (~known).sum()} of {2 * len(known)} environments left out")
    if len({len(runs) for runs in configurations.members}) > 1:
        reasons.append("no p: configurations have unequal numbers of runs")
        estimate = errors[known].max() if worst else errors[known].mean()
        return Association(float(estimate), n=n, reason="; ".join(reasons))
    first, second = pairs.first[known], pairs.second[known]
    order = np.array(configurations.members)
    gap = y[order][first][:, :, None] - y[order][second][:, None, :]
    weight = pair_weights(gap, test_size)
    signs = np.sign(gap) * weight / weight.sum(axis=(1, 2), keepdims=True)
    values = x[order]

    def statistic(index: IntArray) -> FloatArray:
        moved = values[index]
        apart = np.sign(moved[:, first, :, None] - moved[:, second, None, :])
        rates = (1 - (apart * signs).sum(axis=(2, 3))) / 2
        return np.asarray(rates.max(axis=1) if worst else rates.mean(axis=1))

    test = permutation_test(statistic, np.zeros(n, np.intp), seed, width=signs.size)
    return association_of(test, n, "; ".join(reasons))


def environments(
    x: FloatArray, y: FloatArray, axes: pd.DataFrame, *, test_size: int | None = None
) -> pd.DataFrame:
    """Return the sign error of every environment: its distribution.

    Parameters
    ----------
    x, y, axes
        As in :func:`sign_error`.
    test_size
        Items that y, a rate between 0 and 1, is the mean over. With it a pair of runs weighs by how
        sure the order of its two y is, max(0, max(0, 1 − 2 exp(−m Δ²/2))² − ½), and environments
        that are worth fewer than 12 pairs have no error.

    Returns
    -------
    DataFrame
        One row a directed environment: `axis, from, to, held, sign_error, effective_sample`, the
        latter (Σ weight)² / Σ weight² over pairs of runs.

    References
    ----------
    G. K. Dziugaite et al., NeurIPS 2020: coupled networks and Hoeffding's weights; the least
    weight and the least effective sample are those of their code.
    """
    configurations = _Configurations.of(x, y, axes)
    pairs = one_axis_pairs(configurations.axes)
    errors, effective = configurations.errors(pairs.first, pairs.second, test_size)
    rows = []
    for start, end in ((pairs.first, pairs.second), (pairs.second, pairs.first)):
        for i, (a, b) in enumerate(zip(start, end, strict=True)):
            axis = configurations.axes.columns[pairs.axis[i]]
            held = configurations.axes.iloc[a].drop(axis)
            rows.append(
                {
                    "axis": str(axis),
                    "from": str(configurations.axes.iloc[a][axis]),
                    "to": str(configurations.axes.iloc[b][axis]),
                    "held": ", ".join(f"{name}={value}" for name, value in held.items()),
                    "sign_error": errors[i],
                    "effective_sample": effective[i],
                }
            )
    return pd.DataFrame(rows)


def pair_weights(difference: FloatArray, test_size: int | None) -> FloatArray:
    """Return how much pairs weigh: 1 without a test set, else Hoeffding's weight above one half.

    Parameters
    ----------
    difference
        Differences between the two y of each pair.
    test_size
        Items that y is the mean over.
    """
    if test_size is None:
        return np.ones(difference.shape)
    sure = np.maximum(0, 1 - 2 * np.exp(-test_size * difference**2 / 2)) ** 2
    return np.asarray(np.maximum(0, sure - LEAST_WEIGHT))


@dataclass(frozen=True)
class _Configurations:
    """Runs by configuration: positions of the runs of each, and its hyper-parameters."""

    x: FloatArray
    y: FloatArray
    members: list[IntArray]
    axes: pd.DataFrame

    @classmethod
    def of(cls, x: FloatArray, y: FloatArray, axes: pd.DataFrame) -> _Configurations:
        number = axes.groupby(list(axes), sort=False, dropna=False).ngroup().to_numpy()
        members = [np.flatnonzero(number == i) for i in range(int(number.max(initial=-1)) + 1)]
        return cls(x, y, members, axes.iloc[[runs[0] for runs in members]])

    def errors(
        self, first: IntArray, second: IntArray, test_size: int | None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the error and the effective sample of each pair of configurations."""
        error, effective = np.full(len(first), np.nan), np.zeros(len(first))
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            one, other = np.ix_(self.members[a], self.members[b])
            gap = self.y[one] - self.y[other]
            weight = pair_weights(gap, test_size)
            total = float(weight.sum())
            if total == 0:
                continue
            effective[i] = total**2 / float((weight**2).sum())
            unlike = (1 - np.sign(self.x[one] - self.x[other]) * np.sign(gap)) / 2
            if test_size is None or effective[i] >= FEWEST_EFFECTIVE:
                error[i] = float((weight * unlike).sum()) / total
        return error, effective
