"""The difference of two groups of runs, with the interval that was asked for."""

import numpy as np

from trajlab.analysis.statistics.bootstrap import bootstrap
from trajlab.analysis.statistics.intervals import (
    Difference,
    FloatArray,
    item_error,
    mean_interval,
    two_sd,
    welch,
    widen,
)


def difference(
    runs: FloatArray,
    baseline: FloatArray,
    interval: str = "t",
    confidence: float = 0.95,
    *,
    pairs: bool = False,
    seed: int = 0,
    items: FloatArray | None = None,
    shifts: FloatArray | None = None,
) -> Difference:
    """Compare two groups of runs.

    Parameters
    ----------
    runs, baseline
        One row a run: shapes (n, …) and (m, …).
    interval
        ``t``, ``2sd`` or ``bootstrap``.
    confidence
        Coverage of the interval.
    pairs
        Whether runs of equal position belong together: the t test is then that of their
        differences.
    seed
        Seed of the bootstrap.
    items
        (…, item) the difference in each item of the test set, for the t interval to tell of other
        test sets too; without, it is conditional on this one.
    shifts
        (side, …) what one standard error that all runs of a side share changes the difference by,
        for the t interval to hold it.
    """
    if interval == "bootstrap":
        return bootstrap(runs, baseline, confidence, pairs=pairs, seed=seed)
    if interval == "2sd":
        return two_sd(runs, baseline, confidence)
    found = (
        mean_interval(runs - baseline, confidence) if pairs else welch(runs, baseline, confidence)
    )
    if items is not None:
        found = widen(found, item_error(items), items.shape[-1] - 1, confidence)
    if shifts is not None:
        found = widen(found, np.linalg.norm(shifts, axis=0), np.inf, confidence)
    return found
