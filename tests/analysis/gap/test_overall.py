"""The mean over tasks: which groups have one, and of which rows it is made."""

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis import gap, runs_from_frame

STEPS = np.arange(10, 210, 10)


def overall(tasks, seeds=3):
    """Return the table of two methods on some tasks, the second one better by a point."""
    rng = np.random.default_rng(0)
    rows = [
        pd.DataFrame(
            {
                **{"method": method, "seed": seed, "task": f"t{task}", "step": STEPS},
                **{"train_loss": 1 / STEPS, "accuracy": 50 + better + rng.normal(0, 0.1)},
            }
        )
        for method, better in (("old", 0.0), ("new", 1.0))
        for seed in range(seeds)
        for task in range(tasks)
    ]
    runs = runs_from_frame(pd.concat(rows, ignore_index=True), metrics=["accuracy"])
    return gap(runs, baseline={"method": "old"}).overall


@pytest.mark.parametrize(("tasks", "rows"), [(2, 0), (3, 3)])
def test_three_tasks_have_a_mean(tasks, rows):
    assert len(overall(tasks)) == rows


@pytest.mark.parametrize(("seeds", "estimated"), [(2, False), (3, True)])
def test_three_runs_a_side_have_an_estimate(seeds, estimated):
    table = overall(3, seeds)
    assert np.isfinite(table["mean_effect"]).all() == estimated
    assert table["delta_m"].to_numpy() == pytest.approx(2.0, abs=0.3)  # a point of 50
    assert (table["reason"] == "").all() == estimated
    if estimated:
        assert table["mean_effect"].to_numpy() == pytest.approx(1.0, abs=0.2)
