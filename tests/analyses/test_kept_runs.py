"""What is kept of finished runs of matched_loss_gap says all that its evaluation reads."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from trajlab.store import Trajectory
from trajlab.store.schema import standard

from ..runs import write

SCRIPT = Path(__file__).parents[2] / "analyses/matched_loss_gap/keep.py"
EPOCHS, STEPS = 3, 4


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Train one run, leave another unfinished, and keep what is to be kept, in this folder."""
    runs, kept = tmp_path / "runs", tmp_path / "kept"
    runs.mkdir()
    kept.mkdir()
    tasks = ["first", "noisy"]
    tables = [
        standard("losses", task=tasks),
        standard("evaluations/test", task=tasks),
        standard("hessian", task=tasks),
    ]
    flushes = [
        {
            "losses": {"step": step, "epoch": step // STEPS, "loss": [step, -step]},
            "hessian": {"step": step, "top": [2.0, 3.0]},
        }
        | (
            {"evaluations/test": {"step": step, "epoch": step // STEPS, "loss": [step / 2, 7.0]}}
            if step % STEPS == STEPS - 1
            else {}
        )
        for step in range(EPOCHS * STEPS)
    ]
    write(runs / "done.h5", tasks, tables, flushes, metadata={"seed": 3})
    write(runs / "killed.h5", tasks, tables, flushes, close=False)
    monkeypatch.setattr(sys, "argv", ["keep.py", str(runs), str(kept)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return kept


def test_evaluations_are_kept_whole_and_losses_of_the_last_step_of_each_epoch(keep: Path) -> None:
    run = Trajectory(keep / "done.h5")
    assert sorted(run.tables) == ["evaluations/test", "losses"]
    assert run.table("losses")["step"].tolist() == [3, 7, 11]
    assert run.table("losses")["epoch"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(run.table("losses")["loss"], [[3, -3], [7, -7], [11, -11]])
    assert run.table("evaluations/test")["step"].tolist() == [3, 7, 11]
    np.testing.assert_array_equal(run.table("evaluations/test")["loss"][:, 0], [1.5, 3.5, 5.5])


def test_a_kept_run_counts_as_the_one_that_was_trained(keep: Path) -> None:
    run = Trajectory(keep / "done.h5")
    assert (run.status, run.tasks, run.metadata["seed"]) == ("complete", ["first", "noisy"], 3)


def test_unfinished_runs_are_not_kept_and_kept_ones_stay_as_they_are(keep: Path) -> None:
    assert [path.name for path in keep.iterdir()] == ["done.h5"]
    before = (keep / "done.h5").stat()
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert (keep / "done.h5").stat() == before
