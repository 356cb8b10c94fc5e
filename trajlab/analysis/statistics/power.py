"""How many runs a difference needs to be seen."""

from math import ceil, inf, sqrt

from trajlab.analysis.statistics.distributions import normal_quantile
from trajlab.lazy import stats

POWER = 0.8


def seeds_needed(
    spread: float, freedom: float, margin: float, level: float, item_error: float = 0.0
) -> float:
    """Return how many runs a side find a difference of `margin` with power .8.

    The error over test items does not shrink with runs: where it alone forbids that power, no
    number of runs is enough, and the answer is infinite.

    Parameters
    ----------
    spread
        Standard deviation over runs; its upper 80 % limit is planned with.
    freedom
        Degrees of freedom of the spread.
    margin
        The difference.
    level
        Level of the two-sided t test, adjusted for the number of tests.
    item_error
        Standard error of the difference over the items of the test set.

    References
    ----------
    W. C. Guenther (1981), The American Statistician 35: the normal formula plus z²/4.
    """
    upper = spread * sqrt(freedom / stats.chi2.ppf(1 - POWER, freedom))
    z = normal_quantile(1 - level / 2)
    left = (margin / (z + normal_quantile(POWER))) ** 2 - item_error**2  # for the error over runs
    return max(2.0, ceil(2 * upper**2 / left + z**2 / 4)) if left > 0 else inf
