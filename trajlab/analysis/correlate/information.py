"""How much the order of x tells of that of y, given what two units have of the hyper-parameters."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from trajlab.analysis.correlate.association import Association
from trajlab.analysis.correlate.granulation import codes, missing, numbered, tested
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.analysis.statistics.resampling import IntArray, permutation_test

CONDITIONED = 2  # hyper-parameters that the mutual information is conditioned on at most
INFORMATION_RESAMPLES = 999


def conditional_information(
    x: FloatArray, y: FloatArray, axes: pd.DataFrame, seed: int = 0
) -> dict[tuple[str, ...] | None, Association]:
    """Mutual information of the orders of x and y, given each set of up to two hyper-parameters.

    Over all ordered pairs of units: I(sign Δx; sign Δy | U) / H(sign Δy | U), where U holds the
    values that both units of the pair have of a set of hyper-parameters. The source's measure is
    the smallest over sets. Sets that leave nothing of sign Δy unknown have a reason and no value.

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
    dict
        By the set's names, and the smallest under None: between 0 and 1, with the p of its upper
        tail.

    References
    ----------
    Y. Jiang et al., "Fantastic Generalization Measures and Where to Find Them", ICLR 2020,
    equations 6 to 8.
    """
    if nothing := missing(x, y, axes):
        return {None: nothing}
    n = len(x)
    first, second = (ends[~np.eye(n, dtype=bool)] for ends in np.indices((n, n)))
    order = 1 + np.sign(y[first] - y[second]).astype(np.intp)
    known = {held: 3 * u + order for held, u in _conditions(axes, first, second)}
    open_sets = {held: each for held, each in known.items() if not _determined(each)}

    def test(sets: list[IntArray]) -> Association:
        def statistic(index: IntArray) -> FloatArray:
            sign = 1 + np.sign(x[index][:, first] - x[index][:, second]).astype(np.intp)
            return np.asarray(np.min([_information(sign, each) for each in sets], axis=0))

        return tested(
            permutation_test(
                statistic,
                np.zeros(n, np.intp),
                seed,
                alternative="greater",
                resamples=INFORMATION_RESAMPLES,
                width=4 * first.size,
            ),
            n,
        )

    determined = Association(n=n, reason="these hyper-parameters determine the order of y")
    made: dict[tuple[str, ...] | None, Association] = {
        held: test([open_sets[held]]) if held in open_sets else determined for held in known
    }
    return made | {None: test(list(open_sets.values())) if open_sets else determined}


def _conditions(
    axes: pd.DataFrame, first: IntArray, second: IntArray
) -> Iterator[tuple[tuple[str, ...], IntArray]]:
    """Yield each set of at most two hyper-parameters, and a number of each pair's values of it."""
    values = codes(axes)
    for size in range(min(CONDITIONED, values.shape[1]) + 1):
        for chosen in combinations(range(values.shape[1]), size):
            held = values[:, list(chosen)]
            rows = np.hstack([np.zeros((len(first), 1), np.intp), held[first], held[second]])
            yield tuple(str(axes.columns[i]) for i in chosen), numbered(rows)


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
