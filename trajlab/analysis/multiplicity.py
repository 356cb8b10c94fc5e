"""Adjusting p-values for the number of tests."""

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from trajlab.analysis.intervals import FloatArray


def holm(p_values: pd.Series) -> FloatArray:
    """Return Holm's adjusted p-values; what is NaN was not tested and stays NaN.

    References
    ----------
    S. Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
    """
    adjusted = p_values.to_numpy(float, copy=True)
    tested = np.isfinite(adjusted)
    if tested.sum() > 1:
        adjusted[tested] = multipletests(adjusted[tested], method="holm")[1]
    return adjusted
