"""Intervals of a difference against scipy and by hand."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from trajlab import TrajlabError
from trajlab.analysis.statistics.bootstrap import BOOTSTRAP_SAMPLES
from trajlab.analysis.statistics.difference import difference
from trajlab.analysis.statistics.intervals import (
    Difference,
    item_error,
    mean_interval,
    two_sd,
    welch,
    widen,
)


def test_welch_agrees_with_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=5), 3 * rng.normal(size=3)
    found, test = welch(a, b), stats.ttest_ind(a, b, equal_var=False)
    interval = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_value == pytest.approx(test.pvalue)
    alone = mean_interval(a)
    interval = stats.ttest_1samp(a, 0).confidence_interval(0.95)
    assert (alone.low, alone.high) == pytest.approx((interval.low, interval.high))


def test_two_standard_deviations_are_disjoint_ranges():
    a, b = np.array([1.0, 2, 3]), np.array([7.0, 8, 9.5])
    found = two_sd(b, a)
    assert bool(found.significant) == (b.mean() - 2 * b.std(ddof=1) > a.mean() + 2 * a.std(ddof=1))
    assert found.low == pytest.approx(b.mean() - a.mean() - 2 * (a.std(ddof=1) + b.std(ddof=1)))


@pytest.mark.parametrize("interval", [welch, two_sd])
def test_one_run_has_no_interval_and_neither_have_copies_of_one(interval):
    alone = interval(np.array([[1.0]]), np.array([[0.0], [0.5]]))
    assert alone.estimate == pytest.approx([0.75])
    assert np.isnan([alone.low, alone.high]).all()
    assert not alone.significant.any()
    for scale, (spread, known) in product((1e-14, 1.0, 1e6), ((1e-13, False), (1e-11, True))):
        sides = (
            scale * (1 + spread * np.arange(3.0)[:, None]),
            scale * np.array([[0.0, 0.1, 0.2]]).T,
        )
        for sign, pair in ((1, sides), (-1, sides[::-1])):
            copies = interval(*pair)
            assert copies.estimate == pytest.approx([sign * scale * 0.9], rel=1e-6)
            assert np.isfinite(copies.low).all() == copies.significant.any() == known


@pytest.mark.parametrize(
    ("low", "high", "significant"),
    [(1e-9, 1, True), (0, 1, False), (-1, 0, False), (-1, -1e-9, True), (np.nan, np.nan, False)],
)
def test_an_interval_that_ends_at_0_is_not_significant(low, high, significant):
    ends = (np.array([float(value)]) for value in (0, low, high, 1, 1))
    assert Difference(*ends).significant.tolist() == [significant]


def test_the_error_over_items_adds_to_that_over_runs():
    """With Satterthwaite's degrees of freedom."""
    rng = np.random.default_rng(0)
    runs, baseline = rng.normal(size=(2, 5))
    items = np.arange(50.0)
    alone, both = welch(runs, baseline), widen(welch(runs, baseline), item_error(items), 49)
    over = items.std(ddof=1) ** 2 / 50
    assert both.error**2 == pytest.approx(alone.error**2 + over)
    freedom = both.error**4 / (alone.error**4 / alone.freedom + over**2 / 49)
    assert both.freedom == pytest.approx(freedom)
    assert both.estimate == alone.estimate


def test_the_mean_of_runs_has_students_interval():
    runs = np.array([[1.0, 2.0], [3.0, 2.5], [2.0, 4.0]])
    made, expected = mean_interval(runs, 0.9), stats.ttest_1samp(runs, 0.0).confidence_interval(0.9)
    assert made.low == pytest.approx(expected.low)
    assert made.high == pytest.approx(expected.high)
    assert made.freedom.tolist() == [2, 2]


@pytest.mark.parametrize("pairs", [False, True])
def test_the_bootstrap_needs_eight_runs_a_group(pairs):
    runs, baseline = np.random.default_rng(0).normal(size=(2, 8, 1))
    made = difference(runs, baseline, "bootstrap", pairs=pairs)
    assert made.low[0] < made.estimate[0] < made.high[0]
    for few in (
        (runs[:7], baseline[: 7 if pairs else 8]),
        (runs[: 7 if pairs else 8], baseline[:7]),
    ):
        with pytest.raises(TrajlabError, match="needs 8 runs a group"):
            difference(*few, "bootstrap", pairs=pairs)
    # copies of one run tell of no spread, on whichever side; of pairs they do
    for still in ((np.ones_like(runs), baseline), (runs, np.ones_like(baseline))):
        assert np.isfinite(difference(*still, "bootstrap", pairs=pairs).low).all() == pairs
    moved = difference(baseline + 1, baseline, "bootstrap", pairs=True)
    assert moved.estimate == pytest.approx([1])
    assert np.isnan([moved.low, moved.high, moved.error, moved.freedom]).all()


@pytest.mark.parametrize("pairs", [False, True])
def test_the_bootstrap_is_studentized_as_by_a_loop(pairs):
    """Efron and Tibshirani's bootstrap-t, sample by sample, of the same draws."""
    rng = np.random.default_rng(1)
    runs, baseline = rng.normal(size=9), rng.normal(size=9) * 2
    groups = [runs - baseline] if pairs else [runs, -baseline]
    draws = np.random.default_rng(0)
    counts = [draws.multinomial(9, np.full(9, 1 / 9), BOOTSTRAP_SAMPLES) for _ in groups]
    ratios = []
    for drawn in zip(*counts, strict=True):
        samples = [np.repeat(group, times) for group, times in zip(groups, drawn, strict=True)]
        moved = sum(s.mean() - g.mean() for s, g in zip(samples, groups, strict=True))
        ratios.append(moved / np.sqrt(sum(s.var(ddof=1) / 9 for s in samples)))
    error = np.sqrt(sum(group.var(ddof=1) / 9 for group in groups))
    estimate = sum(group.mean() for group in groups)
    low, high = (estimate - np.quantile(ratios, q) * error for q in (0.95, 0.05))
    made = difference(runs[:, None], baseline[:, None], "bootstrap", 0.9, pairs=pairs)
    assert (made.low[0], made.high[0]) == pytest.approx((low, high))
