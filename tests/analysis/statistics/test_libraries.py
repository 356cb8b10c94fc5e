"""What stands in for a library that takes long to load gives its numbers, to the last digit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import isotonic_regression
from statsmodels.stats.multitest import multipletests

from trajlab.analysis.runs import curve
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.statistics import distributions
from trajlab.analysis.statistics.multiplicity import benjamini_hochberg, holm

FREEDOM = np.array([0.3, 1, 1.7, 2, 4, 30.5, 1e3, 1e9, np.inf, np.nan, 0, -1])
P = np.array([0, 1e-300, 1e-8, 0.025, 0.2, 0.5, 0.8, 0.975, 1 - 1e-12, 1, np.nan])
X = np.array([-np.inf, -40, -2.5, 0, 1e-9, 1.96, 7, 1e6, np.inf, np.nan])


def test_students_distribution_is_that_of_scipy():
    given = P[:, None], FREEDOM
    np.testing.assert_array_equal(distributions.t_quantile(*given), stats.t.ppf(*given))
    np.testing.assert_array_equal(-distributions.t_quantile(*given), stats.t.isf(*given))
    given = X[:, None], FREEDOM
    np.testing.assert_array_equal(distributions.t_tail(*given), stats.t.sf(*given))


def test_the_normal_distribution_is_that_of_scipy():
    np.testing.assert_array_equal(distributions.normal_quantile(P), stats.norm.ppf(P))
    np.testing.assert_array_equal(distributions.normal_tail(X), stats.norm.sf(X))


@pytest.mark.parametrize(("adjust", "method"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_adjusted_p_values_are_those_of_statsmodels(adjust, method):
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 10, 200):
        for p in (rng.uniform(size=n), rng.uniform(size=n) ** 6, np.round(rng.uniform(size=n), 1)):
            expected = multipletests(p, method=method)[1]
            np.testing.assert_array_equal(adjust(pd.Series(p)), expected)
            holed = np.insert(p, n // 2, np.nan)
            expected = np.insert(expected, n // 2, np.nan)
            np.testing.assert_array_equal(adjust(pd.Series(holed)), expected)
    assert adjust(pd.Series([np.nan, np.nan])) == pytest.approx([np.nan] * 2, nan_ok=True)
    assert len(adjust(pd.Series([], dtype=float))) == 0


def test_the_isotonic_curve_is_that_of_scipy(monkeypatch):
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 17, 300):
        falling = np.exp(-np.linspace(0, 3, n))
        for loss in (
            falling * np.exp(rng.normal(scale=0.4, size=n)),
            np.round(falling, 1) + 0.1,
            falling[::-1],
            np.ones(n),
        ):
            evaluations = Evaluations.clean(np.arange(n) + 1, loss, rng.normal(size=n))
            found = curve.isotonic(evaluations)
            evaluations = replace(evaluations)  # a curve is made once
            with monkeypatch.context() as patch:
                patch.setattr(
                    curve, "_decreasing", lambda x: isotonic_regression(x, increasing=False).x
                )
                expected = curve.isotonic(evaluations)
            np.testing.assert_array_equal(found.log_loss, expected.log_loss)
            np.testing.assert_array_equal(found.score, expected.score)
