"""Fronts on test and on training, side by side."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

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
