"""Association within a grid of hyper-parameters, where one of them alone changes.

Over a whole grid a quantity may follow y only because both follow the learning rate. Comparing
units that differ in a single hyper-parameter takes the others out of it. Seeds are averaged first:
one unit a point of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajlab.analysis.correlate.association import FEWEST, Association
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.analysis.statistics.resampling import IntArray, Test, permutation_test
from trajlab.lazy import pd

NO_INTERVAL = "no interval: the cells of a grid are not a sample"


@dataclass(frozen=True)
class Pairs:
    """Pairs of units that differ in one hyper-parameter alone.

    Attributes
    ----------
    first, second
        (p,) positions of the two units.
    axis
        (p,) number of the hyper-parameter they differ in.
    cell
        (p,) number of the cell: the hyper-parameter, and the values of all others.
    """

    first: IntArray
    second: IntArray
    axis: IntArray
    cell: IntArray


def one_axis_pairs(axes: pd.DataFrame) -> Pairs:
    """Find the pairs of units that differ in one column of `axes` alone.

    Parameters
    ----------
    axes
        (n, m) values of the m hyper-parameters of each unit.
    """
    values = codes(axes)
    first, second = np.triu_indices(len(values), k=1)
    differ = values[first] != values[second]
    alone = differ.sum(axis=1) == 1
    first, second, axis = first[alone], second[alone], differ[alone].argmax(axis=1)
    others = values[first]
    others[np.arange(len(axis)), axis] = -1
    return Pairs(first, second, axis, numbered(np.column_stack([axis, others])))


def granulated_kendall(
    x: FloatArray, y: FloatArray, axes: pd.DataFrame, seed: int = 0
) -> Association:
    """Kendall's τ within cells where one hyper-parameter varies, averaged over cells, then axes.

    Parameters
    ----------
    x, y
        (n,) finite values, one a unit.
    axes
        (n, m) values of the hyper-parameters.
    seed
        Seed of the permutations of units.

    Returns
    -------
    Association
        Ties count as 0, as in the source.

    References
    ----------
    Y. Jiang et al., "Fantastic Generalization Measures and Where to Find Them", ICLR 2020,
    equations 3 and 4.
    """
    n, pairs = len(x), one_axis_pairs(axes)
    if nothing := missing(x, y, n, pairs):
        return nothing
    axis_of = np.unique(np.column_stack([pairs.cell, pairs.axis]), axis=0)[:, 1]
    cells, size = np.bincount(axis_of), np.bincount(pairs.cell)
    weight = 1 / (size[pairs.cell] * cells[pairs.axis] * np.count_nonzero(cells))
    signs = weight * np.sign(y[pairs.first] - y[pairs.second])

    def statistic(index: IntArray) -> FloatArray:
        moved = np.sign(x[index[:, pairs.first]] - x[index[:, pairs.second]])
        return np.asarray(moved @ signs)

    return association_of(
        permutation_test(statistic, np.zeros(n, np.intp), seed, width=len(signs)), n
    )


def missing(x: FloatArray, y: FloatArray, n: int, pairs: Pairs) -> Association | None:
    """Say why there is nothing to compare, or None.

    Parameters
    ----------
    x, y
        Values.
    n
        Number of units.
    pairs
        Those of them that differ in one hyper-parameter alone.
    """
    why = {
        f"fewer than {FEWEST} units": n < FEWEST,
        "x is constant": len(x) > 0 and np.ptp(x) == 0,
        "y is constant": len(y) > 0 and np.ptp(y) == 0,
    }
    reason = next((sentence for sentence, holds in why.items() if holds), "")
    if not reason and not pairs.first.size:
        reason = "no two units differ in one of the axes alone"
    return Association(n=n, reason=reason) if reason else None


def association_of(test: Test, n: int, reason: str = NO_INTERVAL) -> Association:
    """Return what a permutation test gives over the units of a grid.

    Parameters
    ----------
    test
        The test.
    n
        Units.
    reason
        Why there is no interval.
    """
    p_values = {"p_value": test.p_value, "smallest_p": test.smallest_p}
    return Association(test.observed, n=n, **p_values, reason=reason)


def codes(axes: pd.DataFrame) -> IntArray:
    """Return (n, m) the number of each value among those of its column."""
    columns = [pd.factorize(axes[name])[0] for name in axes]
    return np.stack(columns, axis=1).astype(np.intp)


def numbered(rows: IntArray) -> IntArray:
    """Return the number of each row among the distinct ones."""
    return np.asarray(np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1), np.intp)
