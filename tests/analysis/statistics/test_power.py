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
