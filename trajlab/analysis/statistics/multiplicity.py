"""Adjusting p-values for the number of tests."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy import stats

from trajlab.analysis.statistics.intervals import FloatArray


def holm(p_values: pd.Series) -> FloatArray:
    """Return Holm's adjusted p-values; what is NaN was not tested and stays NaN.

    Written here because statsmodels' collects garbage at every call, which costs more than a study.

    References
    ----------
    S. Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
    """
    return _adjust(p_values, _step_down)


def benjamini_hochberg(p_values: pd.Series) -> FloatArray:
    """Return p-values adjusted for the false discovery rate; what is NaN stays NaN.

    References
    ----------
    Y. Benjamini, Y. Hochberg (1995), Journal of the Royal Statistical Society B 57, 289-300.
    """
    return _adjust(p_values, stats.false_discovery_control)


ADJUSTMENTS: Mapping[str, Callable[[pd.Series], FloatArray]] = {
    "holm": holm,
    "bh": benjamini_hochberg,
}


def _adjust(p_values: pd.Series, adjust: Callable[[FloatArray], FloatArray]) -> FloatArray:
    adjusted = p_values.to_numpy(float, copy=True)
    tested = np.isfinite(adjusted)
    if tested.any():
        adjusted[tested] = adjust(adjusted[tested])
    return adjusted


def _step_down(p_values: FloatArray) -> FloatArray:
    order = np.argsort(p_values)
    left = np.arange(len(p_values), 0, -1)  # tests not yet rejected, at each step
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(left * p_values[order]), 1)
    return adjusted
