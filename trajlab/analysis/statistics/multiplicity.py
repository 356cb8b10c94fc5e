"""Adjusting p-values for the number of tests."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from trajlab.analysis.statistics.intervals import FloatArray


def holm(p_values: pd.Series) -> FloatArray:
    """Return Holm's adjusted p-values; what is NaN was not tested and stays NaN.

    References
    ----------
    S. Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
    """
    return _adjust(p_values, "holm")


def benjamini_hochberg(p_values: pd.Series) -> FloatArray:
    """Return p-values adjusted for the false discovery rate; what is NaN stays NaN.

    References
    ----------
    Y. Benjamini, Y. Hochberg (1995), Journal of the Royal Statistical Society B 57, 289-300.
    """
    return _adjust(p_values, "fdr_bh")


ADJUSTMENTS: Mapping[str, Callable[[pd.Series], FloatArray]] = {
    "holm": holm,
    "bh": benjamini_hochberg,
}


def _adjust(p_values: pd.Series, method: str) -> FloatArray:
    adjusted = p_values.to_numpy(float, copy=True)
    tested = np.isfinite(adjusted)
    if tested.sum() > 1:
        adjusted[tested] = multipletests(adjusted[tested], method=method)[1]
    return adjusted
