"""How much the order of x tells of that of y, given what two units have of the hyper-parameters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from trajlab.analysis.correlate.association import Association
from trajlab.analysis.correlate.granulation import (
    association_of,
    codes,
    missing,
    numbered,
    one_axis_pairs,
)
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.analysis.statistics.resampling import IntArray, permutation_test
from trajlab.lazy import pd

CONDITIONED = 2  # hyper-parameters that the mutual information is conditioned on at most
INFORMATION_DRAWS = 999


def conditioning_sets(axes: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return the sets of at most two hyper-parameters, the empty one first.

    Parameters
    ----------
    axes
        (n, m) values of the hyper-parameters.
    """
    names = [str(name) for name in axes]
    sizes = range(min(CONDITIONED, len(names)) + 1)
    return [held for size in sizes for held in combinations(names, size)]


def conditional_information(
    x: FloatArray,
    y: FloatArray,
    axes: pd.DataFrame,
    seed: int = 0,
    *,
    given: Sequence[str] | None = None,
) -> Association:
    """Mutual information of the orders of x and y, given hyper-parameters.

    Over all ordered pairs of units: I(sign Δx; sign Δy | U) / H(sign Δy | U), where U holds the
    values that both units of the pair have of `given`.

    Parameters
    ----------
    x, y, axes, seed
        As in :func:`trajlab.analysis.correlate.granulation.granulated_kendall`.
    given
        Columns of `axes`; without, the smallest over sets of at most two, the source's measure.
        Sets that leave nothing of sign Δy unknown are passed over.

    Returns
    -------
    Association
        Between 0 and 1, with the p of its upper tail.

    References
    ----------
    Y. Jiang et al., "Fantastic Generalization Measures and Where to Find Them", ICLR 2020,
    equations 6 to 8.
    """
    n = len(x)
    if nothing := missing(x, y, n, one_axis_pairs(axes)):
        return nothing
    first, second = (ends[~np.eye(n, dtype=bool)] for ends in np.indices((n, n)))
    order = 1 + np.sign(y[first] - y[second]).astype(np.intp)
    wanted = conditioning_sets(axes) if given is None else [tuple(given)]
    every = [3 * _condition(axes, held, first, second) + order for held in wanted]
    sets = [known for known in every if not _determined(known)]
    if not sets:
        which = "two hyper-parameters" if given is None else " and ".join(given)
        return Association(n=n, reason=f"{which} determine the order of y")

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
    return association_of(test, n)


def _condition(
    axes: pd.DataFrame, held: Sequence[str], first: IntArray, second: IntArray
) -> IntArray:
    """Return a number of each pair's values of a set of hyper-parameters."""
    none = np.zeros((len(first), 1), np.intp)
    if not held:
        return none[:, 0]
    values = codes(axes[list(held)])
    return numbered(np.hstack([values[first], values[second]]))


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
