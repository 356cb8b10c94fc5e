"""Correlations against SciPy, hand-worked cases, and simulation under the null."""

from math import factorial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from trajlab.analysis import correlate
from trajlab.analysis.correlate.association import associate
from trajlab.analysis.correlate.coupled import environments, sign_error
from trajlab.analysis.correlate.granulation import granulated_kendall
from trajlab.analysis.correlate.information import conditional_information
from trajlab.analysis.summary import largest_mean, late_mean
from trajlab.errors import TrajlabError

COLUMN = arrays(np.float64, 6, elements=st.integers(-50, 50).map(float), unique=True)


@pytest.mark.parametrize("n", [5, 12])
def test_estimates_and_intervals_agree_with_scipy(n):
    x, y = np.random.default_rng(0).normal(size=(2, n))
    pearson = associate(x, y)
    assert pearson.estimate == pytest.approx(stats.pearsonr(x, y).statistic)
    expected = stats.pearsonr(x, y).confidence_interval(0.95)
    assert (pearson.low, pearson.high) == pytest.approx((expected.low, expected.high))
    spearman = associate(x, y, "spearman")
    assert spearman.estimate == pytest.approx(stats.spearmanr(x, y).statistic)
    half_width = 1.959964 * np.sqrt(1.06 / (n - 3))
    assert np.arctanh(spearman.high) - np.arctanh(spearman.low) == pytest.approx(2 * half_width)


@pytest.mark.parametrize(
    ("n", "smallest"), [(3, 2 / 6), (4, 2 / 24), (5, 2 / 120), (8, 2 / 10_000)]
)
def test_the_smallest_p_is_that_of_a_perfect_order(n, smallest):
    found = associate(np.arange(n, dtype=float), np.arange(n) ** 2.0, "spearman")
    assert found.estimate == pytest.approx(1.0)
    assert found.smallest_p == pytest.approx(smallest)
    if n < 8:  # more pairings are drawn, not enumerated
        assert found.p_value == pytest.approx(smallest)
    assert found.p_value >= found.smallest_p - 1e-12
    assert ("cannot reach significance" in found.reason) == (smallest > 0.05)


def test_ties_raise_the_smallest_p():
    x = np.array([0.0, 0, 0, 1, 1, 1])
    assert associate(x, x).smallest_p == pytest.approx(2 * 3 * 2 * 3 * 2 / factorial(6))


@pytest.mark.parametrize("statistic", ["pearson", "spearman"])
def test_p_values_are_uniform_under_the_null(statistic):
    rng = np.random.default_rng(1)
    p_values = np.array(
        [associate(*rng.normal(size=(2, 7)), statistic).p_value for _ in range(400)]
    )
    for level in (0.05, 0.2, 0.5, 0.8):
        error = 3 * np.sqrt(level * (1 - level) / 400)
        assert np.mean(p_values <= level) == pytest.approx(level, abs=error + 0.02)


def test_a_strong_correlation_is_found():
    x = np.random.default_rng(2).normal(size=20)
    assert associate(x, x + 0.1 * np.sin(9 * x)).p_value == pytest.approx(2e-4)


def test_smallest_detectable_correlation_of_ten_units():
    found = associate(*np.random.default_rng(3).normal(size=(2, 10)), "spearman")
    assert found.smallest_detectable == pytest.approx(0.80, abs=0.005)


@given(COLUMN, COLUMN, st.floats(0.1, 10), st.floats(-10, 10))
def test_scale_shift_and_sign(x, y, scale, shift):
    found, moved, flipped = associate(x, y), associate(scale * x + shift, y), associate(-x, y)
    assert moved.estimate == pytest.approx(found.estimate, abs=1e-9)
    assert flipped.estimate == pytest.approx(-found.estimate, abs=1e-9)
    assert (flipped.low, flipped.high) == pytest.approx((-found.high, -found.low), abs=1e-9)
    assert flipped.p_value == pytest.approx(found.p_value, abs=1e-9)
    assert associate(y, x).estimate == pytest.approx(found.estimate, abs=1e-9)


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([1, 2], [2, 3], "fewer than 3 units"),
        ([], [], "fewer than 3 units"),
        ([1, 1, 1, 1], [1, 2, 3, 4], "x is constant"),
        ([1, 2, 3, 4], [5, 5, 5, 5], "y is constant"),
    ],
)
def test_what_has_no_correlation_has_a_reason(x, y, reason):
    found = associate(np.array(x, float), np.array(y, float))
    assert found.reason == reason
    assert np.isnan([found.estimate, found.low, found.high, found.p_value]).all()


def table(tmp_path, **columns):
    path = tmp_path / "table.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return str(path)


def test_seeds_are_averaged_before_they_count(tmp_path):
    rng = np.random.default_rng(4)
    x, y = np.repeat(rng.normal(size=(2, 10)), 3, axis=1) + 0.1 * rng.normal(size=(2, 30))
    file = table(tmp_path, config=np.repeat(np.arange(10), 3), seed=[0, 1, 2] * 10, x=x, y=y)
    row = correlate(table=file, x="x", y="y", unit="config").correlations.iloc[0]
    means = x.reshape(10, 3).mean(axis=1), y.reshape(10, 3).mean(axis=1)
    assert (row["n"], row["n_runs"]) == (10, 30)
    assert row["estimate"] == pytest.approx(stats.pearsonr(*means).statistic)
    doubt = correlate(table=file, x="x", y="y").correlations["reason"]
    assert doubt.str.contains("name the unit").all()


def test_seeds_as_units_give_false_positives_and_configurations_do_not():
    """Ten configurations of three seeds, within-configuration correlation .9: .24 against .05."""
    rng = np.random.default_rng(5)
    naive, ours = [], []
    for _ in range(200):
        between = np.repeat(rng.normal(size=(2, 10)), 3, axis=1)
        x, y = np.sqrt(0.9) * between + np.sqrt(0.1) * rng.normal(size=(2, 30))
        naive.append(stats.pearsonr(x, y).pvalue)
        means = x.reshape(10, 3).mean(axis=1), y.reshape(10, 3).mean(axis=1)
        ours.append(associate(*means).p_value)
    assert np.mean(np.array(naive) < 0.05) > 0.15
    assert np.mean(np.array(ours) < 0.05) < 0.10


def test_tasks_are_not_pooled_and_their_p_values_adjusted(tmp_path):
    rng = np.random.default_rng(6)
    file = table(tmp_path, task=["a", "b"] * 8, x=rng.normal(size=16), y=rng.normal(size=16))
    rows = correlate(table=file, x="x", y="y").correlations
    assert rows["task"].tolist() == ["a"] * 3 + ["b"] * 3
    pearson = rows[rows["statistic"] == "pearson"]
    ordered = np.sort(pearson["p_value"])
    holm = [min(1, 2 * ordered[0]), max(ordered[1], min(1, 2 * ordered[0]))]
    assert np.sort(pearson["p_adjusted"]) == pytest.approx(holm)


def test_missing_values_are_left_out_and_counted(tmp_path):
    file = table(tmp_path, x=[1, 2, np.nan, 4, 5, np.inf], y=[1.0, 3, 2, 5, 4, 6])
    row = correlate(table=file, x="x", y="y").correlations.iloc[0]
    assert (row["n"], row["n_excluded"]) == (4, 2)


def test_the_same_seed_gives_the_same_p(tmp_path):
    x, y = np.random.default_rng(7).normal(size=(2, 12))
    file = table(tmp_path, x=x, y=y)
    first, again, other = (
        correlate(table=file, x="x", y="y", seed=seed).correlations["p_value"].tolist()
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_bad_tables_are_told_in_a_sentence(tmp_path):
    file = table(tmp_path, x=[1, 2, 3], y=["a", "2", "3"])
    with pytest.raises(TrajlabError, match="no column 'z' to correlate; there are x, y"):
        correlate(table=file, x="x", y="z")
    with pytest.raises(TrajlabError, match="column 'y' is not numeric: 'a' in row 1"):
        correlate(table=file, x="x", y="y")
    with pytest.raises(TrajlabError, match="cannot be read as a CSV table"):
        correlate(table=str(tmp_path / "none.csv"), x="x", y="y")
    with pytest.raises(TrajlabError, match="either runs or a table"):
        correlate(x="x", y="y")


def make_runs(make_run, groups=4, seeds=3):
    """Return runs whose accuracy and loss are set by the condition, and a little by the seed."""
    runs = []
    for condition in range(groups):
        for seed in range(seeds):
            loss = 10.0 ** -(condition + 1 + 0.01 * seed) * np.ones(30)
            accuracy = np.full(30, condition**2 + 0.1 * seed)
            splits = {"train": {"loss": loss}, "test": {"accuracy": accuracy}}
            options = {"setting": "s", "condition": f"+{condition}", "seed": seed}
            runs.append(make_run(splits, method="uniform", **options))
    return runs


def test_runs_are_averaged_over_the_seeds_of_a_group(make_run):
    result = correlate(make_runs(make_run), x="min_train_loss", y="final_metric")
    spearman = result.correlations.set_index("statistic").loc["spearman"]
    assert (spearman["n"], spearman["n_runs"], spearman["task"]) == (4, 12, "left")
    assert spearman["estimate"] == pytest.approx(-1)
    assert result.points["unit"].tolist() == [f"+{c}, uniform" for c in range(4)]
    assert result.points["y_value"].tolist() == pytest.approx([0.1, 1.1, 4.1, 9.1])


def test_runs_of_one_group_are_units_themselves(make_run):
    runs = make_runs(make_run, groups=1, seeds=5)
    row = correlate(runs, x="min_train_loss", y="final_metric").correlations.iloc[0]
    assert (row["n"], row["n_runs"]) == (5, 5)


def test_an_unknown_column_of_runs_names_the_known_ones(make_run):
    with pytest.raises(TrajlabError, match=r"no column 'speed' .* final_metric"):
        correlate(make_runs(make_run, 1), x="speed", y="final_metric")


def test_summaries_need_twenty_late_values():
    values = np.arange(60.0)
    assert late_mean(np.arange(60), values) == (pytest.approx(49.5), "")
    assert largest_mean(np.arange(60), values[::-1]) == (pytest.approx(49.5), "")
    assert late_mean(np.arange(19), values[:19])[1] == "fewer than 20 values"
    assert "first half" in late_mean(2 ** np.arange(40), values[:40])[1]


def test_of_a_grid_each_statistic_is_that_of_its_task_with_the_options_given():
    """Of two tasks, four seeds a point; a test set's size weighs pairs of error rates."""
    rng = np.random.default_rng(5)
    rows = [
        {"task": task, "lr": lr, "width": width, "seed": seed}
        for task in ("a", "b")
        for lr in (1, 2, 3)
        for width in (1, 2, 3)
        for seed in range(4)
    ]
    table = pd.DataFrame(rows).assign(
        x=rng.normal(size=len(rows)), error=rng.uniform(0, 1, size=len(rows))
    )
    options = {"x": "x", "y": "error", "axes": ["lr", "width"], "test_size": 20_000}
    result = correlate(table=table, **options)
    found = result.correlations.set_index(["task", "statistic", "given"])["estimate"]
    for task, part in table.groupby("task"):
        axes = part[["lr", "width"]]
        runs = part["x"].to_numpy(), part["error"].to_numpy(), axes
        one = part.groupby(["lr", "width"], as_index=False)[["x", "error"]].mean()
        units = one["x"].to_numpy(), one["error"].to_numpy(), one[["lr", "width"]]
        every = "lr, width"
        assert found[task, "sign_error", every] == pytest.approx(
            sign_error(*runs, test_size=20_000).estimate
        )
        assert found[task, "sign_error", every] != sign_error(*runs).estimate
        assert found[task, "granulated_kendall", every] == pytest.approx(
            granulated_kendall(*units).estimate
        )
        for held in ((), ("lr",), ("width",)):
            expected = conditional_information(*units, given=held).estimate
            name = "conditional_information_given"
            assert found[task, name, ", ".join(held)] == pytest.approx(expected)
        known = result.environments[result.environments["task"] == task]
        expected = environments(*runs, test_size=20_000)["sign_error"]
        np.testing.assert_allclose(known["sign_error"], expected)


def test_what_is_held_fixed_is_a_number_or_text_that_is_one_in_a_unit():
    rng = np.random.default_rng(6)
    table = pd.DataFrame({"x": rng.normal(size=12), "unit": np.repeat(list("abcdef"), 2)})
    table["y"] = table["x"] + rng.normal(size=12)
    table["k"] = np.arange(12.0)
    table["text"] = np.repeat(["p", "q"], 6)
    options = {"x": "x", "y": "y", "unit": "unit"}
    of_text = correlate(table=table, given="text", **options).points
    assert of_text["given_value"].tolist() == ["p"] * 3 + ["q"] * 3
    of_number = correlate(table=table, given="k", **options).points
    assert of_number["given_value"].tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]
    table.loc[1, "text"] = "q"
    with pytest.raises(TrajlabError, match="'text' varies within a unit; name a finer unit"):
        correlate(table=table, given="text", **options)
    table.loc[1, "k"] = np.inf
    points = correlate(table=table, given="k", **options).points
    assert points["n_excluded"].tolist() == [1, 0, 0, 0, 0, 0]
    assert points["given_value"].tolist()[0] == 0
