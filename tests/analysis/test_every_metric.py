"""Without a metric named, every analysis reads all that were recorded, and says which is which."""

import numpy as np
import pandas as pd
import pytest

from trajlab import plots
from trajlab.analysis import correlate, diagnose, factors, front, gap, runs_from_frame

METRICS = ("accuracy", "error")
SUMS = {"baseline": {"method": "uniform"}}


@pytest.fixture(scope="module")
def runs():
    """Of single, uniform and pcgrad: the latter have more accuracy, and more error too."""
    noise = np.random.default_rng(0)
    rows = [
        {"method": method, "seed": seed, "task": task, "step": step}
        | {"train_loss": 10 ** (-step / 20)}
        | {"accuracy": step + 5.0 * better + noise.normal(), "error": better + noise.normal() / 9}
        | {"sharpness/value": 2.0 - better + noise.normal() / 9}
        for better, method in enumerate(("single", "uniform", "pcgrad"))
        for seed in range(3)
        for task in ("left", "right")
        for step in range(1, 61)
    ]
    return runs_from_frame(pd.DataFrame(rows), metrics=METRICS, lower_is_better=["error"])


def test_the_gap_has_a_row_a_metric(runs):
    summary = gap(runs).summary.set_index(["method", "task", "metric"])
    assert len(summary) == 8
    assert summary.loc[("uniform", "left", "accuracy"), "delta"] > 0
    assert summary.loc[("uniform", "left", "error"), "delta"] < 0


def test_factors_are_held_against_each_metric(runs):
    result = factors(runs)
    assert result.runs.groupby(["run", "task"])["metric"].agg(list).map(
        tuple
    ).unique().tolist() == [METRICS]
    rows = result.delta.set_index(["method", "task", "factor", "metric", "at"]).sort_index()
    assert rows.index.is_unique
    assert rows.loc[("uniform", "left", "final_metric", "accuracy", "end"), "better"] == 1
    assert rows.loc[("uniform", "left", "final_metric", "error", "end"), "better"] == -1
    sharpness = rows.loc[("uniform", "left", "sharpness", "", "end")]
    assert (sharpness["n_runs"], sharpness["n_baseline"]) == (3, 3)
    explained = result.quadrants.set_index(["metric", "factor", "at", "method"])["explained"]
    assert explained[("accuracy", "sharpness", "end", "all")] == 4  # flatter, and more accurate
    assert explained[("error", "sharpness", "end", "all")] == 0
    signs = result.signs.set_index(["method", "task", "at"]).loc[("uniform", "left", "end")]
    assert signs["final_metric accuracy"] == "better"
    assert signs["final_metric error"] == "worse"
    labels = [label.get_text() for label in plots.factors(result).get_yticklabels()]
    assert {"final metric accuracy", "final metric error", "sharpness"} <= set(labels)
    alone = factors(runs, metric="error")
    assert set(alone.quadrants["metric"]) == {"error"}
    assert "final_metric" in alone.signs


def test_correlations_do_not_pool_metrics(runs):
    rows = correlate(runs, x="sharpness", y="final_metric").correlations
    pearson = rows[rows["statistic"] == "pearson"].set_index(["task", "metric"])
    assert pearson["n"].tolist() == [3] * 4
    assert pearson.loc[("left", "accuracy"), "estimate"] < 0
    assert pearson.loc[("left", "error"), "estimate"] < 0
    without = correlate(runs, x="sharpness", y="min_train_loss").points
    assert without["metric"].eq("").all()
    assert without["n_runs"].tolist() == [3] * 6  # a run counts once, whatever it recorded


def test_every_metric_of_a_task_is_an_objective(runs):
    names = [f"{task} {metric}" for task in ("left", "right") for metric in METRICS]
    several = [run for run in runs if run.metadata["method"] != "single"]
    result = front(several, **SUMS)
    assert result.settings["objective"] == dict(zip(names, ["max", "min"] * 2, strict=True))
    point = result.points.set_index("method").loc["pcgrad"]
    assert point["left error"] == pytest.approx(2, abs=0.1)
    one = front(several, **SUMS, metric="error")
    assert one.settings["objective"] == {"left": "min", "right": "min"}


def test_runs_that_nothing_compares_are_described_by_each_metric(runs):
    alone = [run for run in runs if run.metadata["method"] == "pcgrad"]
    told = diagnose(alone).verdict
    described = told[told["sentence"].str.contains("Reached")]
    assert described["metric"].tolist() == [*METRICS, *METRICS]
    assert described["n_runs"].tolist() == [3] * 4
