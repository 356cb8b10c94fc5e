"""Fronts on test and on training, side by side."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from tests.analysis.results import made_up
from trajlab import plots
from trajlab.analysis import Front, front
from trajlab.report.figures import draw


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def result(*, training: bool, fresh: bool = True) -> Front:
    """Two methods of three configurations, measured on three fresh seeds."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "method": method,
            "lr": lr,
            "seed": seed,
            "split": split,
            "fresh": fresh and seed > 0,
            "left": lr + rng.normal() / 50,
            "right": 4 - lr + rng.normal() / 50,
        }
        for method in ("scalarization", "mgda")
        for lr in (1, 2, 3)
        for seed in range(4)
        for split in ("train", "validation", "test")
        if training or split != "train"
    ]
    marks = {"fresh": {"fresh": "True"}} if fresh else {}
    wanted = {"left": "max", "right": "max"}
    return front(table=pd.DataFrame(rows), objective=wanted, group_by=["lr"], **marks)  # type: ignore[arg-type]


def test_training_stands_beside_test() -> None:
    shown = [ax for ax in draw("front", result(training=True)).axes if ax.get_visible()]
    assert [ax.get_xlabel() for ax in shown] == [
        "left (more is better)",
        "left on the training set (more is better)",
    ]
    assert [len(ax.get_legend().get_texts()) for ax in shown] == [2, 2]


def test_without_training_there_is_no_empty_panel() -> None:
    assert sum(ax.get_visible() for ax in draw("front", result(training=False)).axes) == 1


def test_chosen_points_have_bars_of_their_fresh_runs() -> None:
    made = result(training=True)
    ax = draw("front", made).axes[0]
    assert len(ax.containers) == 2  # a method each
    own = made.chosen.query("method == 'scalarization' and objective == 'left'")
    drawn = ax.containers[0].lines[2][0].get_segments()
    assert np.array(drawn)[:, :, 0] == pytest.approx(own[["low", "high"]].to_numpy())


def points(**columns: object) -> pd.DataFrame:
    made = {"setting": "s", "method": ["sum"] * 4 + ["mgda"] * 2, "configuration": list("abcdef")}
    made |= {"x": [3.0, 1.0, 2.0, 9.0, 5.0, 4.0], "y": [1.0, 3.0, 7.0, np.nan, 2.0, 6.0]}
    return pd.DataFrame(made | columns)


def drawn(ax: plt.Axes) -> list[list[list[float]]]:
    """The white marks of each method and then its filled ones, in the order they are joined."""
    return [line.get_xydata().tolist() for line in ax.lines if line.get_marker() in ("o", "s")]


def test_each_method_is_drawn_from_left_to_right_and_its_chosen_ones_are_joined() -> None:
    head = ("method", "signed_distance", "low", "high")
    rows = [("mgda", -0.125, -0.25, 0.5), ("sum", np.nan, np.nan, np.nan)]
    distance = pd.DataFrame(rows, columns=list(head)).assign(setting="s")
    chosen = pd.DataFrame(
        [
            ("sum", "a", "y", 1.1, 0.9, 1.6),
            ("sum", "a", "x", 3.2, 3.1, 3.5),
            ("sum", "c", "x", 2.0, np.nan, np.nan),
            ("sum", "c", "y", 7.0, np.nan, np.nan),
            ("sum", "d", "x", 9.0, 8.0, 9.9),
            ("mgda", "e", "x", 5.0, np.nan, np.nan),
            ("mgda", "e", "y", 2.0, np.nan, np.nan),
        ],
        columns=["method", "configuration", "objective", "mean", "low", "high"],
    ).assign(setting="s")
    made = made_up(
        "front",
        points=points(z=0.0, chosen=[True, False, True, True, False, True]),
        training=points(on_front=[False, True, True, False, True, False], y=np.arange(6.0)),
        distance=distance,
        chosen=chosen,
        objective={"x": "max", "y": "min", "z": "max"},
    )
    ax = plots.front(made)
    assert drawn(ax) == [
        [[1, 3], [2, 7], [3, 1]],
        [[2, 7], [3, 1]],
        [[4, 6], [5, 2]],
        [[4, 6]],
    ]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "sum\ndistance unknown",
        "mgda\ndistance -0.125 [-0.25, +0.5]",
    ]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (more is better)", "y (less is better)")
    (bars,) = ax.containers  # none where there is no interval
    across, along = (part.get_segments() for part in bars.lines[2])
    np.testing.assert_allclose(across[0], [[3.1, 1.1], [3.5, 1.1]])
    np.testing.assert_allclose(along[0], [[3.2, 0.9], [3.2, 1.6]])
    assert len(across) == len(along) == 2
    other = plots.training_front(made)
    assert drawn(other) == [
        [[1, 1], [2, 2], [3, 0], [9, 3]],
        [[1, 1], [2, 2]],
        [[4, 5], [5, 4]],
        [[5, 4]],
    ]
    assert [text.get_text() for text in other.get_legend().get_texts()] == ["sum", "mgda"]
    assert other.get_ylabel() == "y on the training set (less is better)"


def test_a_front_without_points_says_so() -> None:
    objective = {"x": "max", "y": "max"}
    for table in (pd.DataFrame(), points(x=np.nan, chosen=True)):
        made = made_up("front", points=table, objective=objective)
        assert plots.front(made).texts[0].get_text() == "no configuration was measured"
    assert "no run was evaluated" in plots.training_front(made).texts[0].get_text()
