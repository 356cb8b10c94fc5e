"""Association within a grid, against cases worked by hand and the null."""

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis import correlate
from trajlab.analysis.correlate import information
from trajlab.analysis.correlate.coupled import environments, sign_error
from trajlab.analysis.correlate.granulation import granulated_kendall, one_axis_pairs
from trajlab.analysis.correlate.information import conditional_information, conditioning_sets

GRID = pd.DataFrame({"lr": [1, 1, 1, 2, 2, 2], "width": [8, 16, 32, 8, 16, 32]})
X = np.array([1.0, 2, 3, 2, 1, 4])
Y = np.array([1.0, 3, 2, 4, 5, 6])


def test_pairs_differ_in_one_axis_alone():
    pairs = one_axis_pairs(GRID)
    assert (
        len(pairs.axis) == 3 + 2 * 3
    )  # three widths at two rates: 3 pairs along lr, 6 along width
    assert len(set(pairs.cell)) == 3 + 2


def test_granulated_kendall_by_hand():
    # Along lr, at widths 8, 16, 32: x rises, falls, rises; y rises: τ = 1, -1, 1, mean 1/3.
    # Along width, at lr 1: x 1 2 3, y 1 3 2: (1 + 1 - 1)/3;
    # at lr 2: x 2 1 4, y 4 5 6: (-1 + 1 + 1)/3.
    found = granulated_kendall(X, Y, GRID)
    assert found.estimate == pytest.approx(((1 - 1 + 1) / 3 + (1 / 3 + 1 / 3) / 2) / 2)
    assert found.n == 6


def test_a_common_cause_is_taken_out():
    """X and y both follow the learning rate and are opposed at each of its values."""
    grid = pd.DataFrame({"lr": np.repeat([1, 2, 3], 4), "width": [1, 2, 3, 4] * 3})
    x = 10.0 * grid["lr"].to_numpy() + grid["width"].to_numpy()
    y = 10.0 * grid["lr"].to_numpy() - grid["width"].to_numpy()
    assert granulated_kendall(x, y, grid).estimate == pytest.approx((1 - 1) / 2)
    assert sign_error(x, y, grid, worst=True).estimate == 1


def test_sign_error_by_hand():
    # Of the nine pairs of configurations, one along lr and two along width are ordered unlike y.
    assert sign_error(X, Y, GRID).estimate == pytest.approx(3 / 9)
    assert sign_error(X, Y, GRID, worst=True).estimate == 1
    every = environments(X, Y, GRID)
    assert len(every) == 2 * 9  # either direction
    assert every["sign_error"].mean() == pytest.approx(3 / 9)
    row = every.set_index(["axis", "from", "to", "held"]).loc[("lr", "1", "2", "width=16")]
    assert row.to_dict() == {"sign_error": 1.0, "effective_sample": 1.0}


def test_seeds_of_an_environment_are_paired_each_with_each():
    """One pair of configurations with two runs each: x orders one of the four pairs unlike y."""
    axes = pd.DataFrame({"lr": [1, 1, 2, 2, 3, 3]})
    x, y = np.array([1.0, 4, 2, 5, 9, 9]), np.array([1.0, 2, 3, 4, 9, 9])
    first = environments(x, y, axes).iloc[0]
    assert (first["from"], first["to"]) == ("1", "2")
    assert (first["sign_error"], first["effective_sample"]) == (1 / 4, 4)
    assert sign_error(x, y, axes).estimate == pytest.approx((1 / 4 + 0 + 0) / 3)
    unequal = sign_error(x[:-1], y[:-1], axes[:-1])
    assert unequal.estimate == pytest.approx((1 / 4 + 0 + 0) / 3)
    assert np.isnan(unequal.p_value)
    assert "unequal numbers of runs" in unequal.reason


@pytest.mark.parametrize(("runs", "kept"), [(3, False), (4, True)])
def test_environments_worth_fewer_than_twelve_pairs_are_left_out(runs, kept):
    """Equal weights: three runs a configuration are worth 9 pairs, four 16."""
    axes = pd.DataFrame({"lr": np.repeat([1, 2, 3], runs)})
    y = axes["lr"].to_numpy() / 4.0
    every = environments(y, y, axes, test_size=10_000)
    assert every["effective_sample"].to_numpy() == pytest.approx(runs**2)
    assert np.isfinite(every["sign_error"]).all() == kept
    found = sign_error(y, y, axes, test_size=10_000)
    assert (found.estimate == 0) if kept else ("worth 12 pairs" in found.reason)


def test_hoeffding_weights_by_hand():
    y, m = np.array([0.1, 0.13, 0.5]), 1000
    axes = pd.DataFrame({"lr": np.repeat([1, 2, 3], 4)})
    x, y = np.repeat([2.0, 1.0, 3.0], 4), np.repeat(y, 4)
    every = environments(x, y, axes, test_size=m)
    sure = [max(0, 1 - 2 * np.exp(-m * gap**2 / 2)) ** 2 for gap in (0.03, 0.4, 0.37)]
    assert sure[0] < 0.5 < sure[1]  # the first two configurations are too close to be told apart
    assert np.isfinite(every["sign_error"]).tolist() == [False, True, True] * 2
    assert sign_error(x, y, axes, test_size=m).estimate == 0
    assert sign_error(x, y, axes).estimate == pytest.approx(1 / 3)
    assert "2 of 6 environments left out" in sign_error(x, y, axes, test_size=m).reason
    assert sign_error(x, 100 * y, axes, test_size=m).reason.endswith("between 0 and 1")


def test_conditional_information_by_hand():
    """Three units, one axis, whose values tell every pair apart: only the empty set is left.

    Of the six ordered pairs x orders four like y, so the joint shares are 2/6, 1/6, 1/6, 2/6.
    """
    grid = pd.DataFrame({"lr": [1, 2, 3]})
    found = conditional_information(np.array([1.0, 3, 2]), np.array([1.0, 2, 3]), grid)
    joint = np.array([[2, 1], [1, 2]]) / 6
    information = (joint * np.log(joint / 0.25)).sum() / np.log(2)
    assert found.estimate == pytest.approx(information)


def test_conditional_information_of_a_common_cause_is_nothing():
    """X and y follow lr, and are independent at each of its values."""
    grid = pd.DataFrame({"lr": np.repeat([1, 2], 4), "a": [0, 0, 1, 1] * 2, "b": [0, 1, 0, 1] * 2})
    lr, a, b = grid.to_numpy(float).T
    assert conditional_information(10 * lr + a, 10 * lr + b, grid).estimate < 0.2
    assert conditional_information(10 * lr + a + b / 3, 10 * lr + a + b / 3, grid).estimate == (
        pytest.approx(1)
    )


def test_information_is_given_each_set_and_the_least_of_them_is_the_sources():
    rng = np.random.default_rng(3)
    grid = pd.DataFrame({"lr": np.repeat([1, 2], 4), "a": [0, 0, 1, 1] * 2, "b": [0, 1, 0, 1] * 2})
    x, y = rng.normal(size=(2, 8))
    sets = conditioning_sets(grid)
    assert sets == [(), ("lr",), ("a",), ("b",), ("lr", "a"), ("lr", "b"), ("a", "b")]
    found = [conditional_information(x, y, grid, given=held).estimate for held in sets]
    assert conditional_information(x, y, grid).estimate == pytest.approx(np.nanmin(found))
    own = grid["lr"].to_numpy(float)  # what is given tells all of it, and the empty set does not
    assert (
        "lr determine the order of y" in conditional_information(x, own, grid, given=["lr"]).reason
    )


@pytest.mark.parametrize("measure", [granulated_kendall, sign_error, conditional_information])
def test_p_values_keep_their_level(measure, monkeypatch):
    monkeypatch.setattr(information, "INFORMATION_DRAWS", 199)
    rng = np.random.default_rng(0)
    grid = pd.DataFrame({"lr": np.repeat([1, 2, 3], 3), "width": [1, 2, 3] * 3})
    p_values = np.array([measure(*rng.normal(size=(2, 9)), grid).p_value for _ in range(100)])
    for level in (0.05, 0.3, 0.6):
        assert np.mean(p_values <= level) <= level + 3 * np.sqrt(level * (1 - level) / 100)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.13)


@pytest.mark.parametrize(
    ("x", "y", "grid", "reason"),
    [
        ([1, 2], [1, 2], GRID[:2], "fewer than 3 units"),
        ([1, 1, 1], [1, 2, 3], GRID[:3], "x is constant"),
        ([1, 2, 3], [1, 1, 1], GRID[:3], "y is constant"),
        (
            [1, 2, 3],
            [1, 2, 3],
            pd.DataFrame({"lr": [1, 2, 3], "width": [8, 16, 32]}),
            "no two units differ in one of the axes alone",
        ),
    ],
)
def test_what_cannot_be_compared_has_a_reason(x, y, grid, reason):
    for measure in (granulated_kendall, sign_error, conditional_information):
        found = measure(np.array(x, float), np.array(y, float), grid)
        assert found.reason == reason
        assert np.isnan(found.estimate)


def test_seeds_are_averaged_into_the_grid(tmp_path):
    seeds = GRID.loc[GRID.index.repeat(2)].assign(x=np.repeat(X, 2), y=np.repeat(Y, 2))
    seeds["y"] += np.tile([-5, 5], 6)  # undone by averaging
    seeds.to_csv(tmp_path / "runs.csv", index=False)
    file = str(tmp_path / "runs.csv")
    result = correlate(table=file, x="x", y="y", axes=["lr", "width"])
    rows = result.correlations.set_index("statistic")
    assert rows.loc["granulated_kendall", "estimate"] == pytest.approx(1 / 3)
    assert rows.loc["granulated_kendall", ["n", "n_runs"]].tolist() == [6, 12]
    assert rows.loc["sign_error", "given"] == "lr, width"
    assert list(rows.index[3:]) == [
        *("granulated_kendall", "sign_error", "worst_sign_error", "conditional_information"),
        *["conditional_information_given"] * 4,
    ]
    given = rows.loc["conditional_information_given", "given"].tolist()
    assert given == ["", "lr", "width", "lr, width"]
    assert len(result.environments) == 2 * 9
    assert set(result.environments["effective_sample"]) == {4.0}
