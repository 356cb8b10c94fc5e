"""Adjusting p-values for the number of tests.

A line each; `statsmodels` has them too, and takes more than a second to load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.lazy import pd


def holm(p_values: pd.Series) -> FloatArray:
    """Return Holm's adjusted p-values; what is NaN was not tested and stays NaN.

    Written here because statsmodels' collects garbage at every call, which costs more than a study.

    References
    ----------
    S. Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
    """
    return _adjust(p_values, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p_values: pd.Series) -> FloatArray:
    """Return p-values adjusted for the false discovery rate; what is NaN stays NaN.

    References
    ----------
    Y. Benjamini, Y. Hochberg (1995), Journal of the Royal Statistical Society B 57, 289-300.
    """

    def of_sorted(p: FloatArray) -> FloatArray:
        share = np.arange(1, len(p) + 1) / len(p)
        return np.minimum.accumulate((p / share)[::-1])[::-1]

    return _adjust(p_values, of_sorted)


ADJUSTMENTS: Mapping[str, Callable[[pd.Series], FloatArray]] = {
    "holm": holm,
    "bh": benjamini_hochberg,
}


def _adjust(p_values: pd.Series, of_sorted: Callable[[FloatArray], FloatArray]) -> FloatArray:
    adjusted = p_values.to_numpy(float, copy=True)
    tested = np.flatnonzero(np.isfinite(adjusted))
    tested = tested[np.argsort(adjusted[tested])]
    adjusted[tested] = np.minimum(of_sorted(adjusted[tested]), 1)
    return adjusted
