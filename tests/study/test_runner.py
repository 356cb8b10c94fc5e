"""Training a study: kept runs, choices, interruptions, failures."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.runs import write
from tests.study.failing import Fatal, Raising
from trajlab import load
from trajlab.errors import TrajlabError
from trajlab.store import standard
from trajlab.study import runner
from trajlab.study.file import Study
from trajlab.study.run import Run
from trajlab.study.selection import runs
from trajlab.study.status import duration, measured, outlook, state, tried
from trajlab.training import checkpoint

Make = Callable[..., Study]
LOSSES = standard("losses", task=["digit"])
GRID = "[[stage]]\ncondition = ['', '+same']\nseed = [0, 1]\n"


class Seen(runner.Progress):
    """What was trained."""

    def __init__(self) -> None:
        super().__init__()
        self.trained: list[Path] = []
        self.skips: list[Path] = []
        self.losses = 0

    def finished(self, run: Run, seconds: float) -> None:
        self.trained.append(run.path)

    def skipped(self, run: Run, sentence: str) -> None:
        self.skips.append(run.path)

    def lost(self, attempt: int) -> None:
        self.losses += 1


def one_thread() -> Executor:
    return ThreadPoolExecutor(1)


def train(study: Study, engine: runner.Engine | None = None) -> Seen:
    seen = Seen()
    runner.train(study, engine or runner.Engine(one_thread), seen)
    return seen


def frames(folder: Path) -> dict[str, list[pd.DataFrame]]:
    """Return all that was recorded but the time of day."""
    return {
        run.path.name: [
            run.frame(table).drop(columns=["wall_time", "seconds"], errors="ignore")
            for table in run.tables
        ]
        for run in load(folder)
    }


def assert_equal(one: Path, other: Path) -> None:
    ours, theirs = frames(one), frames(other)
    assert ours.keys() == theirs.keys()
    for name, tables in ours.items():
        for table, twin in zip(tables, theirs[name], strict=True):
            pd.testing.assert_frame_equal(table, twin, check_exact=True)


def test_what_is_missing_is_trained_and_nothing_twice(study: Make) -> None:
    made = study(GRID)
    assert len(train(made).trained) == 4
    assert train(made).trained == []
    more = study(GRID.replace("[0, 1]", "[0, 1, 2]"))
    assert {load(path)[0].metadata["seed"] for path in train(more).trained} == {2}


def test_the_resolved_configuration_is_in_every_run(study: Make) -> None:
    made = study("[record]\nTaskGradients = { every = 4 }\n" + GRID)
    train(made)
    for run in load(made.runs):
        expected = {"setting": "digits", "epochs": 2, "learning_rate": 0.05, "momentum": 0.9}
        assert expected.items() <= run.metadata.items()
        assert run.metadata["record"] == {"TaskGradients": {"every": 4}}
        assert run.metadata["pair_id"] == str(run.metadata["seed"])
        assert run.table("gradients")["step"].tolist() == [0, 4, 8, 12, 16]
        assert run.correct("test").shape == (3, len(run.tasks), 600)


TUNED = """
[[stage]]
name = "tuning"
condition = ["", "+noisy"]
learning_rate = [1e-5, 0.05, 1e6]
[[stage]]
name = "own"
condition = ["", "+noisy"]
learning_rate = { best = "tuning", per = ["condition"], times = 2 }
seed = 7
"""


def test_the_best_on_validation_is_used_and_a_diverged_run_is_kept_but_not_chosen(
    study: Make,
) -> None:
    made = study(TUNED)
    assert runs(made, made.stages[1]) is None  # nothing to choose from yet
    seen = train(made)
    assert len(seen.trained) == 8
    chosen = {run.plan.learning_rate for run in runs(made, made.stages[1]) or []}
    assert chosen == {0.1}
    tuning = state(made, made.stages[0], pace={"digits": 1.0})
    assert (tuning.wanted, tuning.finished, tuning.diverged) == (6, 6, 2)
    assert tuning.worker_minutes_left == 0
    diverged = [run for run in load(made.runs) if run.metadata["learning_rate"] == 1e6]
    for run in diverged:
        assert run.status == "complete"
        assert not np.isfinite(run.table("losses")["loss"][-1]).all()
        assert np.isnan(run.table("evaluations/train")["loss"][-1]).all()


def test_a_best_value_at_the_edge_is_warned_of(study: Make) -> None:
    made = study(TUNED.replace("[1e-5, 0.05, 1e6]", "[1e-5, 0.05]"))
    with pytest.warns(UserWarning, match="0.05, is at the edge of those tried; extend them"):
        train(made)


SHARED = """
[[stage]]
name = "few"
condition = ["", "+same"]
seed = 0
[[stage]]
name = "more"
condition = ["", "+same"]
seed = [0, 1]
"""


def test_runs_of_two_stages_are_counted_once(study: Make) -> None:
    made = study(SHARED)
    found = outlook(made)
    assert (found.wanted, found.left, found.passes, found.known) == (4, 4, 12, True)
    assert measured(made) == {}
    assert np.isnan(state(made, made.stages[0], {}).worker_minutes_left)
    for run in runs(made, made.stages[0]) or []:
        run.train()
    found = outlook(made)
    assert (found.wanted, found.left, found.passes) == (4, 2, 6)
    pace = measured(made)
    assert pace["digits"] > 0
    left = [state(made, stage, pace).worker_minutes_left for stage in made.stages]
    assert left == pytest.approx([0, 6 * pace["digits"] / 60])
    assert not outlook(study(TUNED, "open")).known


def test_the_pace_is_the_median_of_the_last_stage_that_has_finished_runs(study: Make) -> None:
    """Two epochs of one task, the second of which takes these seconds by seed."""
    made = study(
        "[[stage]]\nname = 'tried'\ncondition = ''\nseed = [0, 1]\n"
        "[[stage]]\nname = 'fresh'\ncondition = ''\nseed = [2, 3, 4]\n"
    )
    seconds = {0: 8.0, 1: 8.0, 2: 2.0, 3: 4.0, 4: 60.0}
    for stage, pace in zip(made.stages, (8.0, 4.0), strict=True):
        for run in runs(made, stage) or []:
            first = [(0, 0.0), (0, 700.0)]  # evaluated often on its way
            pretend(run, [*first, (1, 900.0), (1, 900.0 + seconds[run.configuration["seed"]])])
        assert measured(made) == {"digits": pace}


def test_the_pace_is_not_that_of_first_epochs_where_longer_runs_are_finished(study: Make) -> None:
    made = study(
        "[[stage]]\nname = 'long'\ncondition = ''\n"
        "[[stage]]\nname = 'first epoch'\ncondition = ''\nepochs = 1\n"
    )
    long, first = [run for stage in made.stages for run in runs(made, stage) or []]
    pretend(first, [(0, 0.0), (0, 30.0)])
    assert measured(made) == {"digits": 30.0}
    pretend(long, [(0, 0.0), (1, 30.0), (1, 36.0)])
    assert measured(made) == {"digits": 6.0}


def pretend(run: Run, steps: list[tuple[int, float]]) -> None:
    """Write a finished run of one task with steps of these epochs, at these seconds."""
    rows = [{"step": i, "epoch": e, "wall_time": clock} for i, (e, clock) in enumerate(steps)]
    write(run.path, ["digit"], [LOSSES], [{"losses": row} for row in rows])


def test_every_setting_has_a_pace_of_its_own(study: Make) -> None:
    made = study("[[stage]]\nsetting = ['digits', 'yeast']\ncondition = ''\n")
    plans = outlook(made).open
    assert [own["setting"] for own in plans] == ["digits", "yeast"]
    # 2 passes of one task, and 2 of fourteen
    assert duration(plans, {"digits": 3.0, "yeast": 0.5}) == 2 * 1 * 3 + 2 * 14 * 0.5
    assert np.isnan(duration(plans, {"digits": 3.0}))
    assert tried(made, plans[0]) > 0
    assert not made.runs.exists()


def test_a_full_disk_at_a_checkpoint_fails_one_run_and_loses_nothing(study: Make) -> None:
    made, twin = study(GRID), study(GRID, "twin")
    full, *others = [run.path for run in runs(made, made.stages[0]) or []]
    full.parent.mkdir()
    checkpoint.file(full).with_suffix(".checkpoint.tmp").symlink_to("/dev/full")
    seen = train(made)
    assert seen.trained == others
    ((sentence, failed),) = seen.failures.items()
    assert f"{checkpoint.file(full)} cannot be written (No space left on device)" in sentence
    assert [run.path for run in failed] == [full]
    assert train(made).trained == [full]
    train(twin)
    assert_equal(made.runs, twin.runs)


# The second run is so long that it does not end while a process does.
KILLED = """
[[stage]]
condition = ""
[[stage]]
condition = "+same"
epochs = 150
[[stage]]
condition = "+noisy"
"""


def test_a_study_that_is_stopped_and_then_killed_ends_as_if_it_had_not_been(study: Make) -> None:
    whole, parts = study(KILLED), study(KILLED, "parts")
    first, second, third = (run for stage in parts.stages for run in runs(parts, stage) or [])
    reached = checkpoint.file(second.path)
    stopped = 0

    def gone_on() -> bool:
        return reached.exists() and reached.stat().st_mtime_ns > stopped

    for kind in (signal.SIGINT, signal.SIGTERM):
        code, said = _ended(parts, kind, gone_on)
        assert code == 130
        assert "Stopped; run the study again to go on from the last checkpoints." in said
        assert "Warning" not in said
        stopped = reached.stat().st_mtime_ns
    before = first.path.stat().st_mtime_ns
    code, _ = _ended(parts, signal.SIGKILL, gone_on)
    assert code == -signal.SIGKILL
    assert first.trajectory()
    assert not second.trajectory()
    assert train(parts).trained == [second.path, third.path]
    assert first.path.stat().st_mtime_ns == before
    train(whole)
    assert_equal(whole.runs, parts.runs)


def _ended(made: Study, kind: signal.Signals, when: Callable[[], bool]) -> tuple[int, str]:
    """Run a study until it is time to end it; return its exit status and what it said."""
    command = [sys.executable, "-m", "trajlab", "study", "run", str(made.file), "--workers", "1"]
    # where a shell runs the tests in the background, they and their children ignore Ctrl-C
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    deadline = time.monotonic() + 120
    while not when():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(kind)
    _, said = process.communicate(timeout=60)
    _wait_until_free(made)
    return process.returncode, said


def _wait_until_free(made: Study) -> None:
    """Wait until the killed study's worker has followed it."""
    import fcntl

    for lock in made.runs.glob("*.lock"):
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)


def test_a_lost_worker_costs_one_retry(study: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = study(GRID)
    monkeypatch.setattr("trajlab.study.selection.Run", Fatal)
    seen = train(made, runner.local(1))
    assert seen.losses == 1
    assert len(seen.trained) == 4
    monkeypatch.undo()
    twin = study(GRID, "twin")
    train(twin)
    assert_equal(made.runs, twin.runs)


def test_workers_lost_again_and_again_end_the_study(study: Make) -> None:
    made = study(GRID)

    with pytest.raises(TrajlabError, match="3 workers were lost without a run finished"):
        train(made, runner.Engine(_always_broken))


def _always_broken() -> Executor:
    from concurrent.futures import BrokenExecutor, Future

    class Broken(ThreadPoolExecutor):
        def submit(self, *_: object, **__: object) -> Future[float]:  # type: ignore[override]
            future: Future[float] = Future()
            future.set_exception(BrokenExecutor("gone"))
            return future

    return Broken(1)


def test_a_failing_run_is_told_and_the_others_go_on(
    study: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRAJLAB_DATA", str(tmp_path / "nothing"))
    monkeypatch.setattr("trajlab.training.data.DataSet._download", lambda *_: "")
    made = study("root = '/nowhere'\n[[stage]]\nsetting = ['FashionMTL', 'digits']\n")
    seen = train(made)
    assert len(seen.trained) == 1
    ((sentence, failed),) = seen.failures.items()
    assert len(failed) == 1
    for way in ("root", "TRAJLAB_DATA", "Debian package", "download it from"):
        assert way in sentence


RAISING = """
stage = [
    { name = "tuning", learning_rate = [0.01, 0.05, 0.2] },
    { name = "front", front = "tuning", seed = 5 },
    { name = "own", learning_rate = { best = "tuning" }, seed = 7 },
]
"""


@pytest.mark.parametrize("processes", [False, True])
def test_a_run_that_raises_costs_itself_and_is_not_trained_again_unasked(
    study: Make, monkeypatch: pytest.MonkeyPatch, processes: bool
) -> None:
    made = study(RAISING)
    tuning = made.stages[0]
    monkeypatch.setattr("trajlab.study.selection.Run", Raising)
    seen = train(made, runner.local(1) if processes else None)
    # what depends on the stage is trained, from the values that are left
    assert {load(path)[0].metadata["learning_rate"] for path in seen.trained} == {0.01, 0.05}
    ((sentence, (failed,)),) = seen.failures.items()
    assert sentence.startswith(
        "UnpicklableError: the algorithm failed to converge 1 2 (in full in "
    )
    assert "--retry" in sentence
    assert failed.failure == "UnpicklableError: the algorithm failed to converge 1 2"
    assert "in _train" in failed.path.with_suffix(".failed").read_text()
    found = state(made, tuning, pace={"digits": 1.0})
    assert (found.wanted, found.finished, found.failed, found.diverged) == (3, 2, 1, 0)
    assert (outlook(made).left, found.worker_minutes_left) == (0, 0)

    again = train(made)
    assert (again.trained, again.failures) == ([], {})
    assert again.skips == [failed.path]
    monkeypatch.undo()  # what was wrong is mended
    asked = Seen()
    runner.train(made, runner.Engine(one_thread), asked, retry=True)
    assert asked.trained[0] == failed.path
    assert state(made, tuning, pace={"digits": 1.0}).failed == 0


def test_a_stage_all_of_whose_runs_failed_is_one_sentence(study: Make) -> None:
    made = study(RAISING)
    for run in runs(made, made.stages[0]) or []:
        run.fail("nothing worked")
    with pytest.raises(TrajlabError, match="every run of stage 'tuning' diverged or failed"):
        train(made)


class Deadly(Run):
    """A run whose worker dies at every attempt, where its seed is 1."""

    def train(self) -> float:
        if self.plan.seed == 1:
            raise DeadWorkerError
        return super().train()


class DeadWorkerError(Exception):
    """What an executor tells of a worker that died."""


def test_a_run_that_takes_its_workers_along_fails_alone(
    study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = study("[[stage]]\nseed = [0, 1, 2]\n")
    monkeypatch.setattr("trajlab.study.selection.Run", Deadly)
    engine = runner.Engine(one_thread, (DeadWorkerError,))
    seen = train(made, engine)
    assert [load(path)[0].metadata["seed"] for path in sorted(seen.trained)] == [0, 2]
    ((sentence, (failed,)),) = seen.failures.items()
    assert "3 workers died of it, trained alone (out of memory?)" in sentence
    assert failed.plan.seed == 1
    assert seen.losses == 4  # in the first attempt it is not known yet which run it is
    assert train(made, engine).skips == [failed.path]


class AtOnce(Executor):
    """Trains what is submitted before it answers."""

    def submit(self, function: Callable[..., Any], /, *_: Any, **__: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function())
        except DeadWorkerError as error:
            future.set_exception(error)
        return future


def test_all_that_happens_is_told_in_its_order(
    study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs take their workers along, and one between them does so twice.

    A second run that cannot be trained ends the study only if none was finished in between.
    """
    attempts: list[int] = []

    class Fragile(Run):
        def train(self) -> float:
            seed = self.plan.seed
            attempts.append(seed)
            if seed in (1, 3) or (seed == 2 and attempts.count(2) < 3):
                raise DeadWorkerError
            return 10.5 + seed

    monkeypatch.setattr("trajlab.study.selection.Run", Fragile)
    events: list[tuple[Any, ...]] = []

    class Told(runner.Progress):
        def wanted(self, run: Run) -> None:
            events.append(("wanted", run.plan.seed))

        def finished(self, run: Run, seconds: float) -> None:
            events.append(("finished", run.plan.seed, seconds))

        def failed(self, run: Run, sentence: str) -> None:
            events.append(("failed", run.plan.seed, sentence))

        def lost(self, attempt: int) -> None:
            events.append(("lost", attempt))

    # the second stage has a run of the first, which is not trained twice
    made = study("[[stage]]\nseed = [0, 1]\n[[stage]]\nseed = [1, 2, 3]\n")
    runner.train(made, runner.Engine(AtOnce, (DeadWorkerError,)), Told())
    sentence = "3 workers died of it, trained alone (out of memory?); --retry trains it again"
    losses = [("lost", attempt) for attempt in (1, 2, 3, 4)]
    assert events == [
        *(("wanted", seed) for seed in range(4)),
        ("finished", 0, 10.5),
        *losses,
        ("failed", 1, sentence),
        ("lost", 1),
        ("finished", 2, 12.5),
        *losses,
        ("failed", 3, sentence),
    ]
    assert attempts == [0, 1, 2, 3, 1, 1, 1, 2, 3, 2, 3, 3, 3, 3]


def test_a_dask_cluster_gives_the_same_runs_and_a_killed_worker_costs_one_retry(
    study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
    made, twin = study(GRID), study(GRID, "twin")
    monkeypatch.setattr("trajlab.study.selection.Run", Fatal)
    # as in a study's own processes: from a server that has loaded torch
    method = {"distributed.worker.multiprocessing-method": "forkserver"}
    with (
        dask.config.set(method),
        distributed.LocalCluster(1, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        seen = train(made, runner.cluster(cluster.scheduler_address))
        distributed.default_client().close()
    assert len(seen.trained) == 4
    assert (made.runs / "died").exists()  # its worker was killed once; Dask trained it again
    monkeypatch.undo()
    train(twin)
    assert_equal(made.runs, twin.runs)


def test_what_is_stopped_begins_no_further_run() -> None:
    begun, end = threading.Event(), threading.Event()

    def first() -> bool:
        begun.set()
        return end.wait(10)

    with one_thread() as executor:
        running = executor.submit(first)
        waiting = executor.submit(pytest.fail, "it was begun")
        assert begun.wait(10)
        runner.stop(executor)  # which waits for nothing
        assert not running.done()
        end.set()
    assert running.result()
    assert waiting.cancelled()


def test_no_cluster_at_the_address_is_one_sentence() -> None:
    with pytest.raises(TrajlabError, match="no Dask scheduler answers at tcp"):
        runner.cluster("tcp://127.0.0.1:9")
