"""The line of each task's weight: means and bands of windows, over the runs of a group."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from tests.analysis.results import made_up
from trajlab import plots


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def weights(steps: int, runs: int = 11) -> pd.DataFrame:
    """Run r gives the first task the share step/1000 + r²/1000, and the second a fifth."""
    return pd.DataFrame(
        {
            "condition": condition,
            "method": "m",
            "run": str(run),
            "task": task,
            "step": step,
            "share": share,
        }
        for condition in ("", "+b")
        for run in range(runs)
        for step in range(steps)
        for task, share in (("x", step / 1000 + run**2 / 1000), ("y", 0.2), ("z", np.nan))
    )


def test_a_line_is_the_mean_of_a_task_in_a_group_and_its_band_the_middle_of_the_runs() -> None:
    rows = weights(50)
    ax = plots.weighting(made_up("weighting", weights=rows[rows["share"] != 0.2]))
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["no condition", "+b", "middle 80 % of steps"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "share of the weights")
    for line, band in zip(ax.lines, ax.collections, strict=True):
        steps = np.arange(50)
        np.testing.assert_allclose(line.get_xydata()[:, 0], steps)
        np.testing.assert_allclose(line.get_xydata()[:, 1], steps / 1000 + 35e-3)
        edges = band.get_paths()[0].vertices
        at = edges[edges[:, 0] == 10, 1]
        assert (at.min(), at.max()) == pytest.approx((0.011, 0.091))  # of runs 1 and 9
        assert band.get_alpha() == 0.15
        assert line.get_markevery() == 5
    both = plots.weighting(made_up("weighting", weights=rows))
    assert [line.get_label() for line in both.lines] == ["x", "y", "+b · x", "+b · y"]
    assert both.collections[0].get_alpha() == 0.125  # four overlap


def test_more_than_fifty_steps_are_averaged_in_windows() -> None:
    rows = weights(100, runs=1).query("condition == '' and task == 'x'")
    ax = plots.weighting(made_up("weighting", weights=rows))
    steps = np.arange(0.5, 100, 2)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), np.column_stack([steps, steps / 1000]))
    edges = ax.collections[0].get_paths()[0].vertices
    at = edges[edges[:, 0] == 0.5, 1]
    assert (at.min(), at.max()) == pytest.approx((1e-4, 9e-4))  # of two steps
    least = plots.weighting(made_up("weighting", weights=rows.query("step <= 50")))
    assert len(least.lines[0].get_xdata()) == 50
    nothing = plots.weighting(made_up("weighting", weights=rows.assign(share=np.nan)))
    assert nothing.texts[0].get_text() == "no step with a weight of every task"
