"""The quickstart: equal seeds give equal runs, finished runs are kept, broken ones go on."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trajlab import load
from trajlab.store import Writer
from trajlab.study import quickstart


@pytest.fixture(autouse=True, scope="module")
def short() -> Iterator[None]:
    plans = quickstart.plans
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            quickstart, "plans", lambda seeds: [replace(plan, epochs=2) for plan in plans(seeds)]
        )
        yield


@pytest.fixture(scope="module")
def seen() -> list[tuple[int, int]]:
    return []


@pytest.fixture(scope="module")
def reference(
    short: None, seen: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> Sequence[Path]:
    """One run a condition, trained to its end at once."""
    folder = tmp_path_factory.mktemp("whole")
    return quickstart.run(folder, seeds=1, progress=lambda *counts: seen.append(counts))


def test_one_file_a_run_with_everything_recorded(
    reference: Sequence[Path], seen: list[tuple[int, int]]
) -> None:
    assert seen == [(done, 3) for done in range(4)]
    runs = load(reference[0].parent)
    assert {run.path for run in runs} == set(reference)
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


def test_the_first_task_alone_starts_where_it_starts_beside_others(
    reference: Sequence[Path],
) -> None:
    starts = [run.table("losses")["loss"][0, 0] for run in load(reference[0].parent)]
    assert starts == [starts[0]] * 3


def test_finished_runs_are_kept_and_an_unfinished_one_goes_on(
    reference: Sequence[Path], tmp_path: Path
) -> None:
    class InterruptedRunError(Exception):
        pass

    def interrupt(done: int, total: int) -> None:
        if done == 1:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        quickstart.run(tmp_path / "halves", seeds=1, progress=interrupt)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "halves").glob("*.h5")}
    assert kept
    told: list[tuple[int, int]] = []
    quickstart.run(
        tmp_path / "halves", seeds=1, progress=lambda done, total: told.append((done, total))
    )
    left = 3 - len(kept)
    assert told == [(done, left) for done in range(left + 1)]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for path in reference:
        whole, halves = load(path)[0], load(tmp_path / "halves" / path.name)[0]
        for table in ("losses", "evaluations/test", "gradients"):
            one, other = whole.frame(table), halves.frame(table)
            columns = one.columns.difference(["wall_time", "seconds"])
            assert one[columns].equals(other[columns])


@pytest.mark.parametrize(
    ("status", "finished"), [("complete", True), ("recording", False), (None, False)]
)
def test_a_run_is_finished_where_its_file_says_so(
    tmp_path: Path, status: str | None, finished: bool
) -> None:
    if status:
        Writer(tmp_path / "run.h5", ["left"]).close(status)
    assert quickstart._finished(tmp_path / "run.h5") == finished
