"""The number of runs planned for, against simulated power."""

import numpy as np
import pytest
from scipy import stats

from trajlab.analysis.statistics.power import seeds_needed


def test_seeds_needed_against_the_power_they_give():
    """With SD known (many degrees of freedom), the n found has power .8 in simulation."""
    n = seeds_needed(1.0, 1e9, 1.2, 0.05)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4000, n)) + np.array([0, 1.2])[:, None, None]
    error = np.sqrt((a.var(axis=1, ddof=1) + b.var(axis=1, ddof=1)) / n)
    found = np.abs(b.mean(axis=1) - a.mean(axis=1)) > stats.t.ppf(0.975, 2 * n - 2) * error
    assert found.mean() == pytest.approx(0.8, abs=0.04)
    assert seeds_needed(1.0, 4, 1.2, 0.05) > n  # a spread known from few runs is planned larger


def test_seeds_needed_by_hand():
    """Guenther's formula of a spread's upper 80 % limit, less the error over items."""
    z, beta = 1.959964, 0.841621
    for spread, freedom, margin, item_error in (
        (1.3, 4, 0.7, 0.0),
        (1.3, 4, 0.7, 0.2),
        (2.0, 11, 3.0, 0.9),
    ):
        upper = spread * np.sqrt(freedom / stats.chi2.isf(0.8, freedom))
        exact = 2 * upper**2 / ((margin / (z + beta)) ** 2 - item_error**2) + z**2 / 4
        assert seeds_needed(spread, freedom, margin, 0.05, item_error) == np.ceil(exact)
    for margin, enough in ((2.8, False), (2.81, True)):  # as often as not seen for items alone
        assert np.isfinite(seeds_needed(1.0, 9, margin, 0.05, 1.0)) == enough
    assert seeds_needed(1e-3, 9, 1.0, 0.05) == 2
