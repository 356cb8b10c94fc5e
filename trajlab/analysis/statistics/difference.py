"""The difference of two groups of runs, with the interval that was asked for."""

from trajlab.analysis.statistics.bootstrap import bootstrap
from trajlab.analysis.statistics.intervals import (
    Difference,
    FloatArray,
    mean_interval,
    over_items,
    two_sd,
    welch,
)

INTERVALS = ("t", "2sd", "bootstrap")


def difference(
    runs: FloatArray,
    baseline: FloatArray,
    interval: str = "t",
    confidence: float = 0.95,
    *,
    pairs: bool = False,
    seed: int = 0,
    items: FloatArray | None = None,
) -> Difference:
    """Compare two groups of runs.

    Parameters
    ----------
    runs, baseline
        One row a run: shapes (n, …) and (m, …).
    interval
        One of `INTERVALS`.
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
    """
    if interval == "bootstrap":
        return bootstrap(runs, baseline, confidence, pairs=pairs, seed=seed)
    if interval == "2sd":
        return two_sd(runs, baseline, confidence)
    over_runs = (
        mean_interval(runs - baseline, confidence) if pairs else welch(runs, baseline, confidence)
    )
    return over_runs if items is None else over_items(over_runs, items, confidence)
