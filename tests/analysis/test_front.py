"""Fronts against hand-worked cases, and the noise of comparing them."""

import numpy as np
import pandas as pd
import pytest

from trajlab import plots
from trajlab.analysis import front
from trajlab.analysis.front.configurations import Configurations, distance_row
from trajlab.analysis.front.pareto import (
    hypervolume,
    non_dominated,
    resampled_means,
    set_distance,
    signed_distance,
    utility_weights,
)
from trajlab.analysis.front.rows import scores
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.errors import TrajlabError

STAIR = np.array([[1.0, 4.0], [2.0, 3.0], [4.0, 1.0]])


def test_dominated_points_are_found():
    points = np.vstack([STAIR, [[1.0, 3.0], [2.0, 3.0], [0.0, 0.0]]])
    assert non_dominated(points).tolist() == [True, True, True, False, True, False]


def test_hypervolume_by_hand():
    # above the origin: columns of width 1, 1 and 2, of heights 4, 3 and 1
    assert hypervolume(STAIR, np.zeros(2)) == pytest.approx(4 + 3 + 2)


def test_signed_distance_by_hand():
    points = np.array([[2.0, 2.0], [3.0, 3.0], [2.0, 3.0], [5.0, 5.0], [0.0, 0.0]])
    assert signed_distance(points, STAIR).tolist() == [0, 1, 0, 3, -2]
    assert signed_distance(STAIR + 0.5, STAIR) == pytest.approx([0.5] * 3)
    assert set_distance(STAIR + 0.5, STAIR) == pytest.approx(0.5)
    assert set_distance(STAIR, STAIR + 0.5) == pytest.approx(-0.5)


def test_resampled_means_have_the_standard_error_of_the_pooled_spread():
    rng = np.random.default_rng(0)
    runs = [rng.normal(size=(3, 2)) for _ in range(200)]
    drawn = resampled_means(runs, 500)
    assert drawn.mean(axis=0) == pytest.approx(np.stack([r.mean(axis=0) for r in runs]), abs=0.15)
    assert drawn.std(axis=0).mean() == pytest.approx(1 / np.sqrt(3), rel=0.05)


def test_weights_sum_to_one():
    assert utility_weights(2).shape == (11, 2)
    three = utility_weights(3, 4)
    assert len(three) == 15
    assert three.sum(axis=1) == pytest.approx(1)


def true_values(trials, shift=0.0):
    angle = np.resize(np.linspace(0, np.pi / 2, 9), trials)
    values = 10 * np.column_stack([np.cos(angle), np.sin(angle)]) + shift
    return values - 0.3 * (np.arange(trials) // 9)[:, None]  # worse learning rates


def sampled(rng, trials, seeds, shift=0.0):
    truth = true_values(trials, shift)
    noise = rng.normal(size=(seeds + 1, trials, 2)) / 2
    runs = tuple(truth[i] + noise[1:, i] for i in range(trials))
    return Configurations(tuple((str(i),) for i in range(trials)), truth + noise[0], runs, trials)


def measured_distance(rng, trials, seeds, seed, shift=0.0):
    """The row of a front against one of 18 trials, and the true distance of those chosen."""
    sides = sampled(rng, trials, seeds, shift), sampled(rng, 18, seeds)
    truths = true_values(trials, shift), true_values(18)
    chosen = [truth[side.chosen] for truth, side in zip(truths, sides, strict=True)]
    return distance_row(*sides, 0.95, seed), float(set_distance(*chosen))


def test_equal_truth_has_no_distance_and_a_shift_has_itself():
    """Unbiased for the methods; the interval covers the distance of the chosen configurations."""
    rng = np.random.default_rng(1)
    for trials, shift in ((18, 0.0), (18, 0.5), (54, 0.0)):
        rows, truths = zip(
            *(measured_distance(rng, trials, 3, seed, shift) for seed in range(50)), strict=True
        )
        found = pd.DataFrame(rows)
        error = found["signed_distance"].std() / np.sqrt(50)
        assert found["signed_distance"].mean() == pytest.approx(shift, abs=4 * error)
        covered = (found["low"] <= np.array(truths)) & (np.array(truths) <= found["high"])
        assert covered.mean() >= 0.86  # .95 less three standard errors
        assert found["reason"].eq("").all() == (trials == 18)


def test_a_front_of_the_same_runs_grows_with_trials():
    """Why: with equal truth a front of 54 runs dominates most of what one of 6 does not."""
    rng, shares = np.random.default_rng(2), {6: [], 54: []}
    for _ in range(40):
        for trials, share in shares.items():
            points = sampled(rng, trials, 1).validation
            share.append((signed_distance(sampled(rng, 9, 1).validation, points) < 0).mean())
    assert np.mean(shares[54]) > np.mean(shares[6]) + 0.15


def table(tmp_path, **changes):
    rows = []
    for split in ("validation", "test"):
        for method, gain in (("scalarization", 0.0), ("pcgrad", 0.2)):
            for lr in (1, 2, 3, 4):
                for seed in range(6):
                    rng = np.random.default_rng([lr, seed, len(method), len(split)])
                    left, right = [lr, 5 - lr] + rng.normal(size=2) / 50 + gain
                    row = {"method": method, "lr": lr, "seed": seed, "split": split}
                    rows.append({**row, "left": left, "right": -right, "fresh": seed > 2})
    frame = pd.DataFrame(rows).assign(**changes)
    frame.to_csv(tmp_path / "t.csv", index=False)
    return str(tmp_path / "t.csv")


OPTIONS = {"objective": {"left": "max", "right": "min"}, "group_by": ["lr"]}


def test_a_table_gives_every_table(tmp_path):
    result = front(table=table(tmp_path), fresh={"fresh": "True"}, **OPTIONS)
    row = result.distance.iloc[0]
    assert (row["method"], row["baseline"]) == ("pcgrad", "method=scalarization")
    assert row["signed_distance"] == pytest.approx(0.2, abs=0.02)
    assert row["low"] < 0.2 < row["high"]
    assert (row["n_trials"], row["n_trials_baseline"], row["reason"]) == (12, 12, "")
    assert result.points["n_runs"].eq(3).all()
    assert result.points["right"].lt(0).all()
    assert set(result.points.loc[result.points["non_dominated"], "method"]) == {"pcgrad"}
    volume = result.hypervolume.set_index("method")["hypervolume"]
    assert volume["pcgrad"] > volume["scalarization"]
    assert result.flips["difference"].to_numpy() == pytest.approx(-0.2, abs=0.06)
    assert not result.flips["flips"].any()
    assert result.spread["seed_sd"].to_numpy() == pytest.approx(0.02 / np.sqrt(2), rel=0.5)
    assert result.spread["n_configurations"].tolist() == [4, 4]
    axes = plots.front(result)
    assert axes.get_ylabel() == "right (less is better)"


def test_ranks_that_flip_with_the_weight_are_counted(tmp_path):
    rows = [
        {"method": m, "seed": s, "left": left + s / 100, "right": right - s / 100}
        for m, left, right in (("scalarization", 1, 0), ("pcgrad", 0, 1))
        for s in range(5)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    result = front(table=str(tmp_path / "t.csv"), objective={"left": "max", "right": "max"})
    flips = result.flips.set_index("weights")
    assert flips.loc["left=1.0, right=0.0", "difference"] == pytest.approx(1)
    assert flips.loc["left=0.0, right=1.0", "difference"] == pytest.approx(-1)
    assert flips["flips"].sum() == 10  # all but equal weights
    assert result.distance["reason"].str.contains("same runs").all()
    assert result.spread["reason"].eq("no more than 3 configurations").all()


def test_optimism_is_what_choosing_adds():
    selection = np.array([0.0] * 10 + [1.0] * 10 + [0.5] * 10)
    run = Evaluations.clean(np.arange(1, 31), np.ones(30), np.full(30, 0.4), selection)
    assert scores(run) == pytest.approx((1.0, 0.4, (1 - 0.4) - (0.5 - 0.4)))
    few = Evaluations.clean([1, 2], [1, 1], [1, 3])
    assert scores(few)[1] == 3
    assert np.isnan(scores(few)[2])


def test_runs_give_fronts_over_their_tasks(make_run):
    runs = []
    for method, gain in (("scalarization", 0.0), ("pcgrad", -0.1)):
        for weight in (0.2, 0.8):
            for seed in range(2):
                score = np.array([weight, 1 - weight]) + gain + 0.001 * seed
                values = np.tile(score, (30, 1))
                splits = {
                    "train": {"loss": np.ones((30, 2))},
                    "validation": {"accuracy": values + 0.01},
                    "test": {"accuracy": values},
                }
                options = {"setting": "s", "method": method, "w": weight, "seed": seed}
                runs.append(make_run(splits, tasks=["left", "right"], **options))
    result = front(runs, group_by=["w"])
    assert result.distance["signed_distance"].tolist() == pytest.approx([-0.1])
    assert result.points["left"].tolist() == pytest.approx([0.2005, 0.8005, 0.1005, 0.7005])
    assert result.optimism["optimism"].to_numpy() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "options", "sentence"),
    [
        ({}, {"objective": {"left": "max"}}, "two or more objectives"),
        ({}, {"objective": {"left": "up", "right": "min"}}, "must be max or min, not 'up'"),
        ({}, {"objective": {"top": "max", "right": "min"}}, "no column 'top'"),
        ({}, {"baseline": {"method": "single"}}, "no method is the baseline"),
        ({}, {"group_by": ["width"]}, "no key 'width'"),
        ({"left": "a"}, {}, "'left' is not numeric"),
    ],
)
def test_wrong_tables_are_told_in_a_sentence(tmp_path, changes, options, sentence):
    with pytest.raises(TrajlabError, match=sentence):
        front(table=table(tmp_path, **changes), **{**OPTIONS, **options})


def test_missing_values_are_a_row_with_a_reason(tmp_path):
    file = table(tmp_path)
    frame = pd.read_csv(file)
    frame.loc[frame["method"] == "pcgrad", "left"] = np.nan
    frame.to_csv(file, index=False)
    row = front(table=file, **OPTIONS).distance.iloc[0]
    assert np.isnan(row["signed_distance"])
    assert row["reason"].startswith("no configuration was chosen and measured")
