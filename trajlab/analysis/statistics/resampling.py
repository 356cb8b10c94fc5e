"""Permutations and bootstrap samples of units, drawn all at once.

Only units are resampled: what was varied independently. The checkpoints of a run move with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product
from math import factorial, prod
from typing import Literal

import numpy as np
import numpy.typing as npt

from trajlab.analysis.statistics.intervals import FloatArray

IntArray = npt.NDArray[np.intp]

DRAWS = 9_999  # arrangements or samples; up to so many arrangements all are enumerated
_CELLS = 2**22  # numbers held at once
_ROUNDING = 1e-12  # values that differ by less are one value


@dataclass(frozen=True)
class Test:
    """A permutation test.

    Attributes
    ----------
    observed
        The statistic of the units as they were observed.
    p_value
        The share of arrangements as extreme as the statistic; NaN if there is only one.
    smallest_p
        The smallest p that the test could have given for these values.
    """

    observed: float
    p_value: float = np.nan
    smallest_p: float = 1.0


def permutation_test(
    statistic: Callable[[IntArray], FloatArray],
    strata: IntArray,
    seed: int = 0,
    *,
    alternative: Literal["two-sided", "greater"] = "two-sided",
    resamples: int = DRAWS,
    width: int | None = None,
) -> Test:
    """Test a statistic against its values when units are exchanged within strata.

    Parameters
    ----------
    statistic
        Takes (r, n) positions, each row one arrangement of the n units, and returns (r,) values.
    strata
        (n,) labels; units are exchanged within equal ones only.
    seed
        Seed of the arrangements, where not all are enumerated.
    alternative
        Twice the smaller tail, or the upper tail.
    resamples
        Arrangements that are drawn where there are more.
    width
        Numbers the statistic holds for one arrangement; n by default.

    References
    ----------
    B. Phipson, G. K. Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9: drawn arrangements count the
    observed one too.
    """
    n = len(strata)
    observed = float(statistic(np.arange(n)[None])[0])
    codes = np.unique(strata, return_inverse=True)[1].astype(np.intp)
    index, exact = _arrangements(codes.tobytes(), seed, resamples)
    if len(index) == 1:
        return Test(observed)
    rows = max(1, _CELLS // (width or n))
    starts = range(0, len(index), rows)
    null = np.concatenate([statistic(index[s : s + rows].astype(np.intp)) for s in starts])
    tails, ends = (
        (float(np.mean(null >= high - _ROUNDING)), float(np.mean(null <= low + _ROUNDING)))
        for high, low in ((observed, observed), (null.max(), null.min()))
    )
    if not exact:
        drawn = len(null) + 1
        tails = (tails[0] * len(null) + 1) / drawn, (tails[1] * len(null) + 1) / drawn
        ends = 1 / drawn, 1 / drawn
    if alternative == "greater":
        return Test(observed, tails[0], ends[0])
    return Test(observed, min(1.0, 2 * min(tails)), min(1.0, 2 * min(ends)))


def bootstrap_weights(
    clusters: npt.ArrayLike, resamples: int = DRAWS, seed: int = 0
) -> Iterator[FloatArray]:
    """Yield weights of rows whose clusters are drawn with replacement.

    A weighted sum over rows is then a matrix product, for all columns and samples at once.

    Parameters
    ----------
    clusters
        (n,) labels; rows of one cluster are drawn together.
    resamples
        Samples in all.
    seed
        Seed of the draws.

    Yields
    ------
    (r, n) array
        How often each row is in a sample; the chunks have `resamples` rows in all.
    """
    names, member = np.unique(np.asarray(clusters), return_inverse=True)
    rng = np.random.default_rng(seed)
    rows = max(1, _CELLS // len(member))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=count)
        yield drawn[:, member].astype(float)


def bootstrap_means(
    values: FloatArray, clusters: npt.ArrayLike, resamples: int = DRAWS, seed: int = 0
) -> FloatArray:
    """Return the means of columns over bootstrap samples of clusters.

    Parameters
    ----------
    values
        (n, m) finite numbers, one row a run and, say, one column a checkpoint.
    clusters, resamples, seed
        As in :func:`bootstrap_weights`.

    Returns
    -------
    (resamples, m) array
    """
    chunks = bootstrap_weights(clusters, resamples, seed)
    return np.concatenate([(w @ values) / w.sum(axis=1, keepdims=True) for w in chunks])


@lru_cache(maxsize=1)  # many columns are tested over the same units
def _arrangements(
    codes: bytes, seed: int, resamples: int
) -> tuple[npt.NDArray[np.unsignedinteger], bool]:
    """Return arrangements of units within strata, and whether they are all there are."""
    strata = np.frombuffer(codes, np.intp)
    members = [np.flatnonzero(strata == code) for code in np.unique(strata)]
    small = np.min_scalar_type(len(strata))
    if prod(factorial(min(len(m), 20)) for m in members) <= resamples:
        every = product(*(permutations(m) for m in members))
        index = np.array([np.concatenate(parts) for parts in every], small)
        return index[:, np.argsort(np.concatenate(members))], True
    rng = np.random.default_rng(seed)
    index = np.empty((resamples, len(strata)), small)
    for m in members:
        index[:, m] = rng.permuted(np.tile(m.astype(small), (resamples, 1)), axis=1)
    return index, False
