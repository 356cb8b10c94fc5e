"""Weights over time against values put in by hand."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from scipy import stats

from trajlab import plots
from trajlab.analysis import weighting
from trajlab.analysis.weighting import log_spread, requires
from trajlab.errors import TrajlabError
from trajlab.store import Column, Table, Trajectory, Writer
from trajlab.store.schema import standard

TASKS = ("left", "right")


def write(path, given=None, implied=None, tasks=TASKS, **metadata):
    writer = Writer(path, list(tasks), metadata={"setting": "s", "method": "m", **metadata})
    losses = standard("losses", task=tasks)
    writer.declare(losses)
    for step, row in enumerate(given if given is not None else [[np.nan] * len(tasks)] * 3):
        writer.append("losses", {"step": step, "loss": [1.0] * len(tasks), "weight": row})
    if implied is not None:
        writer.declare(
            Table("aggregation", (Column("implied_weight", ("step", "task")),), {"task": [*tasks]})
        )
        for step, row in enumerate(implied):
            writer.append("aggregation", {"step": 10 * step, "implied_weight": row})
    writer.close()
    return Trajectory(path)


def test_shares_and_their_spread_are_as_put_in(tmp_path):
    first = [[1.0, 1.0], [3.0, 1.0], [1.0, 3.0]]
    second = [[2.0, 2.0], [2.0, 2.0], [2.0, 2.0]]
    runs = [write(tmp_path / f"{i}.h5", own, seed=i) for i, own in enumerate((first, second))]
    found = weighting(runs)
    own = found.weights[found.weights["run"] == str(runs[0].path)]
    assert own["share"].tolist() == [0.5, 0.5, 0.75, 0.25, 0.25, 0.75]
    assert own["recorded"].tolist() == np.ravel(first).tolist()
    summary = found.summary.set_index("task")
    expected = np.std(np.log([0.5, 0.75, 0.25]), ddof=1)
    assert summary.loc["left", "sd_log"] == pytest.approx(expected / 2)  # of two runs, one still
    assert summary["mean_share"].tolist() == [0.5, 0.5]
    assert summary["origin"].tolist() == ["given", "given"]
    assert summary.loc["left", "n_runs"] == 2
    # the t interval of two runs
    half = expected / 2 * 12.706
    assert summary.loc["left", "high"] == pytest.approx((expected + 2 * half) / 2, rel=1e-3)


def test_what_a_group_s_runs_have_in_common_is_named_and_their_tasks_are_not_mixed_up(tmp_path):
    """A run may store its tasks in another order; one of one task, or unfinished, is left out."""
    rows = np.array([[1.0, 4.0], [3.0, 2.0], [8.0, 2.0]])
    parts = [rows, rows[:2, ::-1] * 7, rows[1:]]
    orders = TASKS, TASKS[::-1], TASKS
    runs = [
        write(tmp_path / f"{i}.h5", own, tasks=tasks, seed=i, lr=0.1)
        for i, (own, tasks) in enumerate(zip(parts, orders, strict=True))
    ]
    alone = write(tmp_path / "alone.h5", rows[:, :1], tasks=TASKS[:1], method="single", lr=0.1)
    found = weighting([*runs, alone], confidence=0.8, group_by=["lr"])
    assert found.settings == {"confidence": 0.8, "group_by": ["lr"]}
    shares = rows / rows.sum(axis=1, keepdims=True)
    of_runs = [shares, shares[:2], shares[1:]]
    assert found.weights["share"].tolist() == pytest.approx(
        np.concatenate(of_runs).ravel().tolist()
    )
    assert found.weights["recorded"].tolist()[6:10] == [7, 28, 21, 14]
    assert found.weights["task"].tolist() == [*TASKS] * 7
    assert found.weights["step"].tolist() == np.repeat([0, 1, 2, 0, 1, 0, 1], 2).tolist()
    assert found.summary["task"].tolist() == list(TASKS)
    for number, row in enumerate(found.summary.to_dict("records")):
        spreads = [np.log(own[:, number]).std(ddof=1) for own in of_runs]
        end = stats.ttest_1samp(spreads, 0).confidence_interval(0.8)
        assert row["sd_log"] == pytest.approx(np.mean(spreads))
        assert (row["low"], row["high"]) == pytest.approx((end.low, end.high))
        mean = np.mean([own[:, number].mean() for own in of_runs])
        assert row["mean_share"] == pytest.approx(mean)
        assert (row["method"], row["lr"], row["n_runs"], row["reason"]) == ("m", "0.1", 3, "")


def test_implied_weights_stand_in_where_there_are_none(tmp_path):
    run = write(tmp_path / "run.h5", implied=[[1.0, 3.0], [2.0, 2.0], [-1.0, 5.0]])
    found = weighting([run])
    assert found.weights["step"].tolist() == [0, 0, 10, 10, 20, 20]
    assert found.weights["share"].tolist() == [0.25, 0.75, 0.5, 0.5, -0.25, 1.25]
    left, right = found.summary.to_dict("records")
    assert left["origin"] == right["origin"] == "implied"
    assert (left["n_not_positive"], right["n_not_positive"]) == (1, 0)
    assert left["sd_log"] == pytest.approx(np.std(np.log([0.25, 0.5]), ddof=1))
    assert left["reason"] == "fewer than two runs: no interval"
    assert np.isnan(left["low"])


def test_given_weights_come_before_implied_ones(tmp_path):
    run = write(tmp_path / "run.h5", [[1.0, 3.0]] * 2, implied=[[9.0, 1.0]])
    assert set(weighting([run]).weights["share"]) == {0.25, 0.75}


def test_what_was_not_recorded_is_said(tmp_path):
    nothing = write(tmp_path / "nothing.h5")
    with pytest.raises(TrajlabError, match="no complete run of several tasks recorded their"):
        weighting([nothing])
    beside = write(tmp_path / "beside.h5", [[1.0, 1.0]] * 2, method="other")
    rows = weighting([nothing, beside]).summary
    assert rows.loc[rows["method"] == "m", "reason"].unique().tolist() == [
        "no two steps with a weight of every task"
    ]


def test_a_diagnosis_shows_weights_only_where_some_move(tmp_path):
    from trajlab.analysis.runs.groups import group

    still = write(tmp_path / "still.h5", [[1.0, 2.0]] * 3)
    assert "constant weights" in requires(group([still]), None)
    moves = write(tmp_path / "moves.h5", [[1.0, 2.0], [1.0, 2.1]], method="other")
    assert requires(group([still, moves]), None) == ""
    assert "recorded their weights" in requires(group([write(tmp_path / "none.h5")]), None)


def test_a_spread_needs_two_positive_shares():
    found = log_spread(np.array([[0.5, -1.0], [0.5, 0.2], [0.0, 0.0]]))
    assert found[0] == 0
    assert np.isnan(found[1])


def test_the_figure_has_a_line_a_task(tmp_path):
    rng = np.random.default_rng(0)
    run = write(tmp_path / "run.h5", rng.uniform(0.5, 1, (200, 2)))
    ax = plots.weighting(weighting([run]))
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert told == ["left", "right", "middle 80 % of steps"]
    assert len(ax.lines[0].get_xdata()) == 50
    plt.close("all")


def test_a_key_is_not_mixed_up_with_a_column_of_its_name(tmp_path):
    given = [[1.0, 3.0]] * 3
    runs = [write(tmp_path / f"{i}.h5", given, weight=f"w{i}", share=i) for i in (0, 1)]
    found = weighting(runs, group_by=["weight"]).weights
    assert set(zip(found["weight"], found["run"], strict=True)) == {
        ("w0", str(runs[0].path)),
        ("w1", str(runs[1].path)),
    }
    with pytest.raises(TrajlabError, match="metadata share cannot tell groups apart"):
        weighting(runs, group_by=["weight", "share"])
