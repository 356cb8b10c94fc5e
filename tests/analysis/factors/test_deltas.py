"""The difference of one factor."""

import numpy as np
import pytest
from scipy import stats

from trajlab.analysis.factors.deltas import factor_difference


@pytest.mark.parametrize("n", [2, 5])
def test_difference_is_welchs(n):
    a, b = np.random.default_rng(n).normal(size=(2, n))
    found = factor_difference(a, b)
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert found["p_value"] == pytest.approx(expected.pvalue)
    assert found["z"] == pytest.approx(expected.statistic)
    assert found["relative"] == pytest.approx((a.mean() - b.mean()) / abs(b.mean()))
    assert (
        factor_difference(np.ones(3), np.zeros(3))["reason"]
        == "runs of a side do not differ, so no interval"
    )
    assert np.isnan(factor_difference(np.array([]), b)["delta"])


@pytest.mark.parametrize(("shift", "known"), [(10, True), (0.0, False), (-10, False)])
def test_a_ratio_is_of_means_above_0(shift, known):
    a, b = np.random.default_rng(0).normal(size=(2, 5)) + shift
    a -= a.mean() - shift - 0.5
    b -= b.mean() - shift
    assert np.isfinite(factor_difference(a, b)["ratio"]) == known
    if known:
        assert factor_difference(a, b)["ratio"] == pytest.approx(1.05)
