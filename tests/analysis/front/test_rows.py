"""What one run gives to a front: where it is chosen, reported and trained, in its own direction."""

import numpy as np
import pytest

from trajlab.analysis.front.rows import run_frame
from trajlab.analysis.runs.groups import group

STEPS = 21


def test_objectives_are_read_on_three_splits_each_at_its_own_evaluations(make_run):
    """Of twenty evaluations after step 0, two stand for a run."""
    rng = np.random.default_rng(0)
    splits = {
        split: {"loss": np.ones((STEPS, 2)), "error": rng.normal(size=(STEPS, 2))}
        for split in ("train", "validation", "test")
    }
    without = {split: columns for split, columns in splits.items() if split != "validation"}
    broken = {**splits, "train": {**splits["train"], "loss": np.ones((STEPS, 2))}}
    broken["train"]["loss"][-1, 1] = np.nan
    runs = [
        make_run(own, tasks=["left", "right"], lower_is_better=("error",), method=f"m{i}", seed=i)
        for i, own in enumerate(
            (splits, without, broken, {"train": splits["train"]}, {"test": splits["test"]})
        )
    ]
    rows, better = run_frame(group(runs), None, "test", "validation")
    assert better == {"left": False, "right": False}
    assert rows["run"].tolist() == [str(run.path) for run in runs for _ in range(3)]
    assert rows["on"].tolist() == ["selection", "report", "training"] * 5
    nothing = [np.nan] * 3
    for number, task in enumerate(("left", "right")):
        train, validation, test = (
            splits[split]["error"][1:, number] for split in ("train", "validation", "test")
        )
        best = np.argsort(validation)[:2]
        end, trained = test[-2:].mean(), train[-2:].mean()
        expected = [validation[best].mean(), test[best].mean(), trained, np.nan, end, trained]
        expected += nothing if task == "right" else expected[:3]  # whose loss broke off
        expected += [*nothing, np.nan, end, np.nan]
        assert rows[task].tolist() == pytest.approx(expected, nan_ok=True)
        lead = test - validation
        optimism = lead[best].mean() - lead[-2:].mean()
        told = rows.loc[rows["on"] == "report", f"optimism {task}"]
        again = np.nan if task == "right" else optimism
        assert told.tolist() == pytest.approx([optimism, np.nan, again, *nothing[:2]], nan_ok=True)
        assert rows.loc[rows["on"] != "report", f"optimism {task}"].isna().all()
    some, better = run_frame(group(runs), "loss", "test", "validation")
    assert (better, some["left"].dropna().unique().tolist()) == (
        {"left": False, "right": False},
        [1],
    )
