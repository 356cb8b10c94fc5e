"""Partial and rank correlations against SciPy and statsmodels; simulated levels and coverage."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from trajlab.analysis import correlate
from trajlab.analysis.correlate import association
from trajlab.analysis.correlate.association import associate, strata_of
from trajlab.analysis.statistics.multiplicity import benjamini_hochberg
from trajlab.analysis.statistics.resampling import bootstrap_means, permutation_test


def within(levels, rng):
    """Return x, y, z: x and y follow z, and nothing else joins them."""
    z = np.repeat(np.arange(len(levels)), levels).astype(float)
    x, y = 2 * z + rng.normal(size=(2, z.size))
    return x, y, z


@pytest.mark.parametrize("n", [6, 13])
def test_kendall_agrees_with_scipy(n):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(2, n))
    found, scipy = associate(x, y, "kendall"), stats.kendalltau(x, y, method="exact")
    assert found.estimate == pytest.approx(scipy.statistic)
    assert found.p_value == pytest.approx(scipy.pvalue, rel=1e-9 if n < 8 else 0.1)
    ties = np.round(x), np.round(y)
    assert associate(*ties, "kendall").estimate == pytest.approx(stats.kendalltau(*ties).statistic)


def test_many_units_take_scipys_normal_limit():
    x, y = np.random.default_rng(0).normal(size=(2, 120))
    scipy = stats.kendalltau(x, y)
    assert associate(x, y, "kendall").p_value == pytest.approx(scipy.pvalue)
    # and the permutations of 100 units say the same
    fewer = associate(x[:100], y[:100], "kendall").p_value
    assert fewer == pytest.approx(stats.kendalltau(x[:100], y[:100]).pvalue, abs=0.02)


@pytest.mark.parametrize("statistic", ["pearson", "spearman"])
def test_partial_correlation_is_that_of_residuals(statistic):
    rng = np.random.default_rng(1)
    x, y, z = within([4, 5, 6], rng)
    z = z + 0.01 * rng.normal(size=15)  # a quantity: what repeats would be strata
    columns = [stats.rankdata(v) if statistic == "spearman" else v for v in (x, y, z)]
    design = np.column_stack([np.ones(15), columns[2]])
    left = [OLS(column, design).fit().resid for column in columns[:2]]
    found = associate(x, y, statistic, given=z)
    assert found.estimate == pytest.approx(stats.pearsonr(*left).statistic)
    # one unit fewer, as Fisher has it
    plain = associate(x, y, statistic)
    assert found.smallest_detectable > plain.smallest_detectable


@pytest.mark.parametrize(
    ("statistic", "variance"),
    [("pearson", 1 / (20 - 3)), ("spearman", 1.06 / (20 - 3)), ("kendall", 0.437 / (20 - 4))],
)
def test_the_variance_of_z_is_that_of_fisher_and_of_fieller(statistic, variance):
    x, y = np.random.default_rng(5).normal(size=(2, 20))
    found = associate(x, y, statistic)
    width = np.arctanh(found.high) - np.arctanh(found.low)
    assert width == pytest.approx(2 * stats.norm.ppf(0.975) * np.sqrt(variance))
    found_with_power = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert np.arctanh(found.smallest_detectable) == pytest.approx(
        found_with_power * np.sqrt(variance)
    )


def test_partial_kendall_by_hand():
    x, y, z = np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4]), np.array([1.0, 1, 2, 3])
    # of the five pairs that z orders all rise in x, and one falls in y
    xy, xz, yz = (5 - 1) / 6, 5 / np.sqrt(6 * 5), (4 - 1) / np.sqrt(6 * 5)
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert associate(x, y, "kendall", given=z).estimate == pytest.approx(expected)


def test_permuting_within_the_given_value_keeps_the_level():
    """X and y both follow K: raw correlations are always found, partial ones at the level."""
    rng = np.random.default_rng(2)
    names, raw, partial = ("pearson", "spearman", "kendall"), [], []
    for _ in range(80):
        x, y, z = within([5, 3, 3], rng)
        raw.append([associate(x, y, name).p_value < 0.05 for name in names])
        partial.append([associate(x, y, name, given=z).p_value < 0.05 for name in names])
    assert (np.mean(raw, axis=0) > 0.5).all()
    assert (np.mean(partial, axis=0) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 80)).all()


def test_nothing_can_be_exchanged_where_every_given_value_is_its_own():
    x, y = np.random.default_rng(3).normal(size=(2, 9))
    found = associate(x, y, given=np.arange(9.0))
    assert np.isfinite(found.estimate)
    assert np.isnan(found.p_value)
    assert "none can be exchanged" in found.reason
    assert "determined by what is given" in associate(x, y, given=x).reason
    assert associate(x, y, given=np.ones(9)).reason == "given is constant"


@pytest.mark.parametrize(("statistic", "coverage"), [("pearson", 0.95), ("spearman", 0.95)])
@pytest.mark.parametrize("interval", ["fisher", "bootstrap"])
def test_intervals_cover(statistic, coverage, interval, monkeypatch):
    """At ρ = .5 and 25 units; 2,000 bootstrap samples instead of 9,999, for time."""
    monkeypatch.setattr(association, "DRAWS", 1999)
    rng, runs = np.random.default_rng(4), 150
    truth = 0.5 if statistic == "pearson" else 6 / np.pi * np.arcsin(0.25)
    hits = 0
    for _ in range(runs):
        x, noise = rng.normal(size=(2, 25))
        y = 0.5 * x + np.sqrt(0.75) * noise
        found = associate(x, y, statistic, interval=interval)
        hits += found.low <= truth <= found.high
    error = np.sqrt(coverage * (1 - coverage) / runs)
    assert coverage - 0.03 - 2 * error < hits / runs < coverage + 3 * error


def test_bootstrap_is_refused_for_few_units():
    x, y = np.random.default_rng(5).normal(size=(2, 19))
    found = associate(x, y, interval="bootstrap")
    assert np.isnan([found.low, found.high]).all()
    assert found.reason == "no interval for 19 units"


def test_ties_and_missing_columns_are_rows_with_reasons(tmp_path):
    x, y, z = np.array([0.0, 1] * 12), np.r_[np.zeros(20), np.ones(4)], np.repeat([0.0, 1, 2], 8)
    for statistic in ("pearson", "spearman", "kendall"):
        found = associate(x, y, statistic, interval="bootstrap", given=z)
        assert np.isfinite([found.estimate, found.p_value]).all()
        assert np.isfinite(found.low) or found.reason == "no interval for 24 units"
    frame = pd.DataFrame({"x": [np.nan] * 5, "y": range(5), "K": [1, 1, 2, 2, 2]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    rows = correlate(table=str(tmp_path / "t.csv"), x="x", y="y", axes=["K"], unit="y").correlations
    assert rows["reason"].eq("fewer than 3 units").all()
    assert len(rows) == 3 + 4 + 2


def test_equivalence_within_three_tenths_needs_about_92_units():
    """Power .8 at ρ = 0; and at ρ = .3 the test errs at its level."""
    rng = np.random.default_rng(6)
    for rho, expected in ((0.0, 0.8), (0.3, 0.05)):
        x, noise = rng.normal(size=(2, 600, 92))
        y = rho * x + np.sqrt(1 - rho**2) * noise
        found = [associate_equivalence(a, b, margin=0.3) < 0.05 for a, b in zip(x, y, strict=True)]
        assert np.mean(found) == pytest.approx(
            expected, abs=3 * np.sqrt(expected * (1 - expected) / 600) + 0.01
        )


def associate_equivalence(x, y, margin):
    from trajlab.analysis.correlate.association import STATISTICS, _equivalence

    error = STATISTICS["pearson"].error(len(x), 0)
    return _equivalence(float(np.corrcoef(x, y)[0, 1]), margin, error)


def test_checkpoints_as_units_find_what_is_not_there_and_runs_do_not(tmp_path):
    """Why units matter: 12 runs of 40 checkpoints, x and y independent random walks.

    Taken as 480 independent rows they correlate "significantly" most of the time.
    """
    rng = np.random.default_rng(7)
    naive, ours = [], []
    for _ in range(60):
        x, y = rng.normal(size=(2, 12, 40)).cumsum(axis=2)
        naive.append(stats.spearmanr(x.ravel(), y.ravel()).pvalue < 0.05)
        ours.append(associate(x.mean(axis=1), y.mean(axis=1), "spearman").p_value < 0.05)
    assert np.mean(naive) > 0.5
    assert np.mean(ours) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)
    rows = pd.DataFrame({"run": np.repeat(range(12), 40), "x": x.ravel(), "y": y.ravel()})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    found = correlate(table=str(tmp_path / "rows.csv"), x="x", y="y", unit="run").correlations
    assert found["n"].tolist() == [12] * 3


def test_stratified_rows_and_what_is_given(tmp_path):
    x, y, z = within([6, 6], np.random.default_rng(8))
    pd.DataFrame({"x": x, "y": y, "K": z.astype(int)}).to_csv(tmp_path / "t.csv", index=False)
    file = str(tmp_path / "t.csv")
    rows = correlate(table=file, x="x", y="y", within="K").correlations
    assert rows["group"].tolist() == ["0"] * 3 + ["1"] * 3
    first = rows[(rows["group"] == "0") & (rows["statistic"] == "pearson")].iloc[0]
    assert first["estimate"] == pytest.approx(stats.pearsonr(x[:6], y[:6]).statistic)
    assert first["n"] == 6
    partial = correlate(table=file, x="x", y="y", given="K", margin=0.5).correlations
    assert set(partial["given"]) == {"K"}
    expected = associate(x, y, given=z, margin=0.5)
    assert partial["estimate"].iloc[0] == pytest.approx(expected.estimate)
    assert partial["p_equivalence"].iloc[0] == pytest.approx(expected.p_equivalence)


def test_benjamini_hochberg_by_hand():
    adjusted = benjamini_hochberg(pd.Series([0.01, np.nan, 0.04, 0.03]))
    assert adjusted == pytest.approx([0.03, np.nan, 0.04, 0.04], nan_ok=True)


def test_arrangements_stay_within_their_strata():
    seen = []
    strata = np.array([0, 1, 0, 1, 1])

    def remember(index):
        seen.append(index)
        return index[:, 0].astype(float)

    permutation_test(remember, strata)
    index = seen[-1]
    assert len(np.unique(index, axis=0)) == 2 * 6
    assert (strata[index] == strata).all()
    permutation_test(remember, np.zeros(20, int), resamples=99)
    assert (np.sort(seen[-1], axis=1) == np.arange(20)).all()


@pytest.mark.parametrize(("units", "arrangements"), [(4, 24), (20, 100)])
def test_the_observed_arrangement_is_one_of_those_that_count(units, arrangements):
    """All 24 of 4 units hold it; beside 99 drawn of 20 units, which do not, it is the 100th."""

    def as_observed(index):
        return (index == np.arange(units)).all(axis=1).astype(float)

    strata = np.zeros(units, int)
    for alternative, tails in (("greater", 1), ("two-sided", 2)):
        found = permutation_test(as_observed, strata, alternative=alternative, resamples=99)
        assert found.p_value == pytest.approx(tails / arrangements)
        assert found.smallest_p == pytest.approx(tails / arrangements)


def test_clusters_are_drawn_together():
    """One column a checkpoint: the spread of the means is that of clusters, not of rows."""
    rng = np.random.default_rng(9)
    clusters = np.repeat(np.arange(30), 4)
    values = np.repeat(rng.normal(size=(30, 2)), 4, axis=0)
    spread = bootstrap_means(values, clusters, 4000).std(axis=0)
    expected = values[::4].std(axis=0) / np.sqrt(30)
    assert spread == pytest.approx(expected, rel=0.06)
    assert bootstrap_means(values, clusters, 7, seed=1).shape == (7, 2)


def strata_world(rng, n=12):
    """Return x, y and K: both fall in K, in different shapes, and are independent given K."""
    k = np.repeat([1.0, 4.0, 9.0], n // 3)
    return 1 / np.sqrt(k) + 0.05 * rng.normal(size=n), -np.log(k) + 0.05 * rng.normal(size=n), k


@pytest.mark.parametrize("statistic", ["pearson", "spearman", "kendall"])
def test_what_repeats_is_held_fixed_within_its_strata(statistic):
    """A line through K leaves what bends in it; strata leave nothing."""
    rng = np.random.default_rng(0)
    found = [
        associate(*world[:2], statistic, given=world[2])
        for world in (strata_world(rng) for _ in range(100))
    ]
    assert np.mean([one.estimate for one in found]) == pytest.approx(0, abs=0.1)
    assert np.mean([one.p_value < 0.05 for one in found]) <= 0.1
    # Fisher's z for ranks is a little short with 12 units in three strata: .88 of these
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.85
    x, y, k = strata_world(rng)
    text = np.array([f"+{value:g}" for value in k])
    assert associate(x, y, statistic, given=text).estimate == pytest.approx(
        associate(x, y, statistic, given=k).estimate
    )


def test_strata_by_hand_and_on_either_side_of_the_rule():
    x, y = np.array([1.0, 2, 11, 13]), np.array([5.0, 9, 1, 3])
    two = np.array([0.0, 0, 1, 1])  # two values for four units: strata
    by_hand = (0.5 * 2 * 2 + 1 * 1 * 2) / np.sqrt((0.5 + 2) * (8 + 2))
    assert associate(x, y, given=two).estimate == pytest.approx(by_hand)
    assert associate(x, y, "kendall", given=two).estimate == pytest.approx(1)
    three = np.array([0.0, 0, 1, 2])  # three values for four units: a quantity
    r = np.corrcoef([x, y, three])
    partial = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert associate(x, y, given=three).estimate == pytest.approx(partial)


@pytest.mark.parametrize(("given", "held"), [(list("aabbcc"), 2), (list("aaabbb"), 1)])
def test_each_stratum_but_one_costs_a_unit(given, held):
    x, y = np.random.default_rng(0).normal(size=(2, 6))
    found = associate(x, y, "pearson", given=np.array(given))
    half_width = stats.norm.ppf(0.975) / np.sqrt(6 - 3 - held)
    interval = np.tanh(np.arctanh(found.estimate) + np.array([-half_width, half_width]))
    assert [found.low, found.high] == pytest.approx(interval)


@pytest.mark.parametrize(
    ("values", "strata"),
    [([1.0, 1.0, 2.0, 2.0], True), ([1.0, 1.0, 2.0], False), (["a", "b", "c"], True)],
)
def test_numbers_of_which_half_are_distinct_are_strata(values, strata):
    levels = np.unique(values, return_inverse=True)[1]
    assert (strata_of(np.array(values), levels) is not None) == strata
