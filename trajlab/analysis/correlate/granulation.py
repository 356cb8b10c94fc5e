"""Association within a grid of hyper-parameters, where one of them alone changes.

Over a whole grid a quantity may follow y only because both follow the learning rate. Comparing
units that differ in a single hyper-parameter takes the others out of it. Seeds are averaged first:
one unit a point of the grid.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from trajlab.analysis.correlate.association import FEWEST, Association
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.analysis.statistics.resampling import IntArray, Test, permutation_test

CONDITIONED = 2  # hyper-parameters that the mutual information is conditioned on at most
INFORMATION_DRAWS = 999
_NO_INTERVAL = "no interval: the cells of a grid are not a sample"


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
    environment
        (p,) number of the environment: the hyper-parameter, and the two values of it.
    """

    first: IntArray
    second: IntArray
    axis: IntArray
    cell: IntArray
    environment: IntArray


def one_axis_pairs(axes: pd.DataFrame) -> Pairs:
    """Find the pairs of units that differ in one column of `axes` alone.

    Parameters
    ----------
    axes
        (n, m) values of the m hyper-parameters of each unit.
    """
    codes = _codes(axes)
    first, second = np.triu_indices(len(codes), k=1)
    differ = codes[first] != codes[second]
    alone = differ.sum(axis=1) == 1
    first, second, axis = first[alone], second[alone], differ[alone].argmax(axis=1)
    row = np.arange(len(axis))
    others = codes[first]
    ends = np.sort(np.stack([codes[first][row, axis], codes[second][row, axis]], axis=1), axis=1)
    others[row, axis] = -1
    return Pairs(first, second, axis, _numbered(axis, others), _numbered(axis, ends))


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
        Of the permutations of units.

    Returns
    -------
    Association
        Ties count as 0, as in the source.

    References
    ----------
    Y. Jiang et al., "Fantastic Generalization Measures and Where to Find Them", ICLR 2020,
    equations 3 and 4.
    """
    pairs = one_axis_pairs(axes)
    if missing := _missing(x, y, pairs):
        return missing
    axis_of = np.unique(np.column_stack([pairs.cell, pairs.axis]), axis=0)[:, 1]
    cells, size = np.bincount(axis_of), np.bincount(pairs.cell)
    weight = 1 / (size[pairs.cell] * cells[pairs.axis] * np.count_nonzero(cells))
    signs = weight * np.sign(y[pairs.first] - y[pairs.second])

    def statistic(index: IntArray) -> FloatArray:
        return np.asarray(_signs(x, pairs, index) @ signs)

    return _tested(statistic, len(x), len(signs), seed)


def sign_error(
    x: FloatArray,
    y: FloatArray,
    axes: pd.DataFrame,
    seed: int = 0,
    *,
    worst: bool = False,
    test_size: int | None = None,
) -> Association:
    """How often x orders two units unlike y, when one hyper-parameter changes between two values.

    Parameters
    ----------
    x, y, axes, seed
        As in :func:`granulated_kendall`.
    worst
        The largest error of any environment, instead of their mean.
    test_size
        Items that y, a rate between 0 and 1, is the mean over. With it a pair weighs by how sure
        the order of its two y is: max(0, 1 − 2 exp(−m Δ²/2))².

    Returns
    -------
    Association
        Between 0 and 1; 0.5 is no better than chance.

    References
    ----------
    G. K. Dziugaite et al., "In Search of Robust Measures of Generalization", NeurIPS 2020: the sign
    error, its supremum over environments, and Hoeffding's weights.
    """
    pairs = one_axis_pairs(axes)
    if missing := _missing(x, y, pairs):
        return missing
    difference = y[pairs.first] - y[pairs.second]
    weight = np.ones(difference.size)
    if test_size is not None:
        if y.min() < 0 or y.max() > 1:
            return Association(n=len(x), reason="Hoeffding's weights need y between 0 and 1")
        weight = np.maximum(0, 1 - 2 * np.exp(-test_size * difference**2 / 2)) ** 2
    total = np.bincount(pairs.environment, weight)
    if not total.any():
        return Association(
            n=len(x), reason="no pair differs in y by more than its test set's error"
        )
    share = (np.arange(len(total)) == pairs.environment[:, None]) * weight[:, None]
    share = share[:, total > 0] / total[total > 0]
    signs = np.sign(difference)[:, None] * share

    def statistic(index: IntArray) -> FloatArray:
        errors = (1 - _signs(x, pairs, index) @ signs) / 2
        return np.asarray(errors.max(axis=1) if worst else errors.mean(axis=1))

    return _tested(statistic, len(x), len(weight), seed)


def conditional_information(
    x: FloatArray, y: FloatArray, axes: pd.DataFrame, seed: int = 0
) -> Association:
    """Mutual information of the orders of x and y, given up to two hyper-parameters; the least.

    Over all ordered pairs of units: I(sign Δx; sign Δy | U) / H(sign Δy | U), where U holds the
    values that both units of the pair have of a set of hyper-parameters; the smallest over sets of
    at most two. Sets that leave nothing of sign Δy unknown are passed over.

    Parameters
    ----------
    x, y, axes, seed
        As in :func:`granulated_kendall`.

    Returns
    -------
    Association
        Between 0 and 1, with the p of its upper tail.

    References
    ----------
    Y. Jiang et al., ICLR 2020, equations 6 to 8.
    """
    if missing := _missing(x, y, one_axis_pairs(axes)):
        return missing
    n = len(x)
    first, second = (ends[~np.eye(n, dtype=bool)] for ends in np.indices((n, n)))
    order = 1 + np.sign(y[first] - y[second]).astype(np.intp)
    every = [3 * u + order for u in _conditions(_codes(axes), first, second)]
    sets = [known for known in every if not _determined(known)]
    if not sets:
        return Association(n=n, reason="two hyper-parameters determine the order of y")

    def statistic(index: IntArray) -> FloatArray:
        sign = 1 + np.sign(x[index][:, first] - x[index][:, second]).astype(np.intp)
        return np.asarray(np.min([_information(sign, known) for known in sets], axis=0))

    test = permutation_test(
        statistic,
        np.zeros(n, np.intp),
        seed,
        alternative="greater",
        resamples=INFORMATION_DRAWS,
        width=4 * first.size,
    )
    return _told(test, n)


def _conditions(codes: IntArray, first: IntArray, second: IntArray) -> Iterator[IntArray]:
    """Yield a number of each pair's values of every set of at most two hyper-parameters."""
    for size in range(min(CONDITIONED, codes.shape[1]) + 1):
        for chosen in combinations(range(codes.shape[1]), size):
            held = codes[:, list(chosen)]
            yield _numbered(np.zeros(len(first), np.intp), np.hstack([held[first], held[second]]))


def _information(sign: IntArray, known: IntArray) -> FloatArray:
    """Return I(sign; order | U) / H(order | U) of each row of (r, p) signs; known = 3 U + order."""
    rows, top = len(sign), int(known.max()) // 3 + 1
    joint = np.arange(rows)[:, None] * (top * 9) + known * 3 + sign
    counts = np.bincount(joint.ravel(), minlength=rows * top * 9).reshape(rows, top, 3, 3)
    shares = counts / sign.shape[1]

    def entropy(part: FloatArray) -> FloatArray:
        logs = np.log(part, where=part > 0, out=np.zeros_like(part))
        return np.asarray(-(part * logs).reshape(rows, -1).sum(axis=1))

    given = entropy(shares.sum(axis=(2, 3)))
    order, other = entropy(shares.sum(axis=3)), entropy(shares.sum(axis=2))
    return np.asarray((order + other - given - entropy(shares)) / (order - given))


def _determined(known: IntArray) -> bool:
    """Tell whether each U goes with one order only; `known` = 3 U + order."""
    present = np.unique(known)
    return len(present) == len(np.unique(present // 3))


def _missing(x: FloatArray, y: FloatArray, pairs: Pairs) -> Association | None:
    """Say why there is nothing to compare, or None."""
    told = {
        f"fewer than {FEWEST} units": len(x) < FEWEST,
        "x is constant": len(x) > 0 and np.ptp(x) == 0,
        "y is constant": len(y) > 0 and np.ptp(y) == 0,
        "no two units differ in one of the axes alone": not pairs.first.size,
    }
    reason = next((sentence for sentence, holds in told.items() if holds), "")
    return Association(n=len(x), reason=reason) if reason else None


def _tested(
    statistic: Callable[[IntArray], FloatArray], n: int, width: int, seed: int
) -> Association:
    return _told(permutation_test(statistic, np.zeros(n, np.intp), seed, width=width), n)


def _told(test: Test, n: int) -> Association:
    p_values = {"p_value": test.p_value, "smallest_p": test.smallest_p}
    return Association(test.observed, n=n, **p_values, reason=_NO_INTERVAL)


def _signs(x: FloatArray, pairs: Pairs, index: IntArray) -> FloatArray:
    return np.asarray(np.sign(x[index[:, pairs.first]] - x[index[:, pairs.second]]))


def _codes(axes: pd.DataFrame) -> IntArray:
    columns = [pd.factorize(axes[name])[0] for name in axes]
    return np.stack(columns, axis=1).astype(np.intp)


def _numbered(lead: IntArray, rest: IntArray) -> IntArray:
    """Return the number of each row of (lead, rest) among the distinct ones."""
    rows = np.column_stack([lead, rest])
    return np.asarray(np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1), np.intp)
