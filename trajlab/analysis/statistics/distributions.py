"""Quantiles and tails of Student's and the normal distribution.

They are those of `scipy.stats`, which takes a second to load; what it computes them with does not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.float64]


def t_quantile(p: npt.ArrayLike, freedom: npt.ArrayLike) -> _Array:
    """Return where Student's distribution reaches a probability, ``scipy.stats.t.ppf``."""
    from scipy.special import stdtrit

    p, freedom = _array(p), _array(freedom)
    # at p = 0 and 1 the kernel gives the upper end, and NaN before SciPy 1.17
    end = ((p == 0) | (p == 1)) & (freedom > 0)
    return _array(np.where(end, np.copysign(np.inf, p - 0.5), stdtrit(freedom, p)))


def t_tail(x: npt.ArrayLike, freedom: npt.ArrayLike) -> _Array:
    """Return the probability of more than x under Student's distribution, ``scipy.stats.t.sf``."""
    from scipy.special import stdtr

    return _array(stdtr(_array(freedom), -_array(x)))


def normal_quantile(p: npt.ArrayLike) -> _Array:
    """Return where the normal distribution reaches a probability, ``scipy.stats.norm.ppf``."""
    from scipy.special import ndtri

    return _array(ndtri(_array(p)))


def normal_tail(x: npt.ArrayLike) -> _Array:
    """Return the probability of more than x under the normal one, ``scipy.stats.norm.sf``."""
    from scipy.special import ndtr

    return _array(ndtr(-_array(x)))


def _array(values: npt.ArrayLike) -> _Array:
    return np.asarray(values, float)
