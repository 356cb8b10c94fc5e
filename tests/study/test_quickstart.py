"""The quickstart: equal seeds give equal runs, finished runs are kept, broken ones go on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trajlab import load
from trajlab.study import quickstart


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = quickstart.plans
    monkeypatch.setattr(
        quickstart, "plans", lambda seeds: [replace(plan, epochs=2) for plan in plans(seeds)]
    )


def test_one_file_a_run_with_everything_recorded(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    paths = quickstart.run(tmp_path, seeds=1, progress=lambda *counts: seen.append(counts))
    assert seen == [(done, 3) for done in range(4)]
    runs = load(tmp_path)
    assert {run.path for run in runs} == set(paths)
    assert {(run.metadata["method"], run.metadata["condition"]) for run in runs} == {
        ("single", ""),
        ("uniform", "+same"),
        ("uniform", "+noisy"),
    }
    for run in runs:
        assert run.status == "complete"
        assert run.table("losses")["step"].tolist() == list(range(20))
        assert run.table("gradients")["gram"].shape == (20, 2, len(run.tasks), len(run.tasks))
        assert run.table("evaluations/train")["step"].tolist() == [0, 10, 20]
        assert np.isfinite(run.table("hessian")["top"]).all()
        assert run.table("evaluations/test")["accuracy"].shape == (3, len(run.tasks))


def test_the_first_task_alone_starts_where_it_starts_beside_others(tmp_path: Path) -> None:
    quickstart.run(tmp_path, seeds=1)
    starts = [run.table("losses")["loss"][0, 0] for run in load(tmp_path)]
    assert starts == [starts[0]] * 3


def test_finished_runs_are_kept_and_an_unfinished_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = quickstart.run(tmp_path / "whole", seeds=1)

    class InterruptedRunError(Exception):
        pass

    def interrupt(done: int, total: int) -> None:
        if done == 1:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        quickstart.run(tmp_path / "halves", seeds=1, progress=interrupt)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "halves").glob("*.h5")}
    assert kept
    quickstart.run(tmp_path / "halves", seeds=1)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for path in reference:
        whole, halves = load(path)[0], load(tmp_path / "halves" / path.name)[0]
        for table in ("losses", "evaluations/test", "gradients"):
            one, other = whole.frame(table), halves.frame(table)
            columns = one.columns.difference(["wall_time", "seconds"])
            assert one[columns].equals(other[columns])
