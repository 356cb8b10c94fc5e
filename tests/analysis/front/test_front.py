"""The tables of fronts, from a table and from runs."""

import numpy as np
import pandas as pd
import pytest

from trajlab import plots
from trajlab.analysis import front
from trajlab.analysis.front.pareto import hypervolume
from trajlab.analysis.front.rows import scores
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.errors import TrajlabError


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
    file = table(tmp_path)
    result = front(table=file, fresh={"fresh": "True"}, **OPTIONS)
    row = result.distance.iloc[0]
    assert (row["method"], row["baseline"]) == ("pcgrad", "method=scalarization")
    assert row["signed_distance"] == pytest.approx(0.2, abs=0.02)
    assert row["low"] < 0.2 < row["high"]
    assert (row["n_trials"], row["n_trials_baseline"], row["reason"]) == (12, 12, "")
    assert result.points["n_runs"].eq(3).all()
    assert result.points["configuration"].tolist() == [f"lr={lr}" for lr in (1, 2, 3, 4)] * 2
    assert result.points["right"].lt(0).all()
    assert set(result.points.loc[result.points["non_dominated"], "method"]) == {"pcgrad"}
    volume = result.hypervolume.set_index("method")["hypervolume"]
    assert volume["pcgrad"] > volume["scalarization"]
    best = result.points[["left", "right"]] * [1, -1]  # the most of everything
    reference = (best.min() - 0.1 * (best.max() - best.min())).to_numpy()
    for method, part in best[result.points["chosen"]].groupby(result.points["method"]):
        assert volume[method] == pytest.approx(hypervolume(part.to_numpy(), reference))
    assert result.flips["difference"].to_numpy() == pytest.approx(-0.2, abs=0.06)
    assert not result.flips["flips"].any()
    fresh = pd.read_csv(file).query("split == 'test' and fresh")
    utility = fresh.assign(utility=(fresh["left"] - fresh["right"]) / 2)
    variances = utility.groupby(["method", "lr"])["utility"].var()  # of three seeds each
    pooled = np.sqrt(variances.groupby("method").mean())
    assert result.spread.set_index("method")["seed_sd"].to_dict() == pytest.approx(pooled.to_dict())
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


def test_forty_objectives_have_a_front_without_a_hypervolume():
    names = [f"t{i}" for i in range(40)]
    rows = [
        {"method": method, "seed": seed} | dict.fromkeys(names, gain + seed / 100)
        for method, gain in (("scalarization", 0), ("pcgrad", 1))
        for seed in range(3)
    ]
    result = front(table=pd.DataFrame(rows), objective=dict.fromkeys(names, "max"))
    assert result.distance["signed_distance"].tolist() == pytest.approx([1])
    assert result.points["non_dominated"].tolist() == [False, True]
    assert result.hypervolume["reason"].str.contains("more than 10 objectives").all()
    assert len(result.flips) == 1 + 40 * 10


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
