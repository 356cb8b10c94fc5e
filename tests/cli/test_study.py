"""``trajlab study``: what is estimated, shown and told, with runs that take no time."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from tests.cli.conftest import Trajlab
from trajlab.cli.progress import Shown, bar
from trajlab.errors import TrajlabError
from trajlab.study import runner, status
from trajlab.study.file import read
from trajlab.study.run import Run
from trajlab.study.selection import runs

STUDY = """
runs = "{folder}"
setting = "digits"
condition = ["", "+same"]
epochs = 2
batch_size = 256
learning_rate = [0.1, 1e6]
[[stage]]
name = "one"
seed = [0, 1]
[[stage]]
name = "chosen"
learning_rate = {{ best = "one" }}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "study.toml"
    made.write_text(STUDY.format(folder=tmp_path / "own"))
    return made


def of_stage(file: Path, stage: int = 0) -> list[Run]:
    made = read(file)
    return runs(made, made.stages[stage]) or []


# 8 runs of the first stage, of 2 seeds, 2 rates and one or two tasks, each for 2 epochs: 24
# passes; and of the second one, before it is chosen, 2 runs: 6 passes.
@pytest.mark.parametrize(("workers", "time"), [(1, "0:01:30"), (4, "0:00:22")])
def test_a_dry_run_tells_runs_and_time_and_trains_nothing(
    trajlab: Trajlab, file: Path, monkeypatch: pytest.MonkeyPatch, workers: int, time: str
) -> None:
    monkeypatch.setattr(status, "measured", lambda study: {"digits": 3.0})
    done = trajlab("study", "run", file, "--dry-run", "--workers", workers)
    assert done.exit_code == 0
    told = f"10 runs at most, 10 of them to train: about {time} with {workers} at a time.\n"
    assert done.stdout == told
    assert not (file.parent / "own").exists()


def test_a_setting_that_was_never_trained_is_tried_once(
    trajlab: Trajlab, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []
    monkeypatch.setattr(status, "tried", lambda study, own: tried.append(own["setting"]) or 0.5)
    file.write_text(file.read_text().partition('[[stage]]\nname = "chosen"')[0])
    done = trajlab("study", "run", file, "--dry-run", "--workers", 1)
    assert done.stdout == "8 runs, 8 of them to train: about 0:00:12 with 1 at a time.\n"
    assert tried == ["digits"]


def test_the_status_of_each_stage_is_a_row(
    trajlab: Trajlab, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third, *_ = of_stage(file)
    first.train()  # alone, at a rate that goes well
    second.train()  # and at one that does not
    third.fail("nothing worked")
    monkeypatch.setattr(status, "measured", lambda study: {"digits": 90.0})
    one, chosen = json.loads(trajlab("study", "status", file, "--json").stdout)["stages"]
    assert {key: one[key] for key in ("stage", "wanted", "finished", "diverged", "failed")} == {
        "stage": "one",
        "wanted": 8,
        "finished": 2,
        "diverged": 1,
        "failed": 1,
    }
    assert (one["begun"], chosen["wanted"], chosen["finished"]) == (0, 2, 0)
    passes = 24 - sum(
        2 * len(run.plan.setting.tasks(run.plan.condition)) for run in (first, second, third)
    )
    assert one["worker_minutes_left"] == pytest.approx(passes * 1.5)
    assert chosen["worker_minutes_left"] == pytest.approx(6 * 1.5)
    shown = trajlab("study", "status", file).stdout
    assert shown.startswith("stages\n")
    elsewhere = trajlab("study", "status", file, "--runs", file.parent / "other", "--json").stdout
    assert [row["finished"] for row in json.loads(elsewhere)["stages"]] == [0, 0]


class Trained:
    """In the place of the runner: what it was asked for, and what it tells."""

    def __init__(self, *failures: str, stopped: bool = False) -> None:
        self.failures, self.stopped = failures, stopped
        self.asked: dict[str, Any] = {}
        self.pace = math.nan

    def __call__(self, study: Any, engine: Any, progress: Any, *, retry: bool) -> None:
        self.asked = {"runs": study.runs, "engine": engine, "retry": retry}
        (drawn,) = progress._bar.tasks
        self.pace = drawn.fields["pace"]
        for sentence in self.failures:
            progress.failed(of_stage(study.file)[0], sentence)
        if self.stopped:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("failures", "stopped", "code", "said"),
    [
        ((), False, 0, []),
        (("a", "b", "a"), False, 2, ["2 of the runs. a", "1 of the runs. b"]),
        (("a",), True, 130, ["Stopped; run the study again", "1 of the runs. a"]),
    ],
)
def test_failures_are_told_at_the_end_and_in_the_exit_code(
    trajlab: Trajlab,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    failures: tuple[str, ...],
    stopped: bool,
    code: int,
    said: list[str],
) -> None:
    made = Trained(*failures, stopped=stopped)
    monkeypatch.setattr(runner, "train", made)
    monkeypatch.setattr(runner, "local", lambda workers: ("local", workers))
    done = trajlab("study", "run", file, "--workers", 3)
    assert done.exit_code == code
    assert made.asked == {"runs": file.parent / "own", "engine": ("local", 3), "retry": False}
    for sentence in said:
        assert sentence in done.stderr
    assert done.stderr.count("Not trained") == len(set(failures))


def test_retry_another_folder_and_a_cluster_are_passed_on(
    trajlab: Trajlab, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Trained()
    monkeypatch.setattr(runner, "train", made)
    monkeypatch.setattr(runner, "cluster", lambda address: ("cluster", address))
    other = file.parent / "other"
    trajlab("study", "run", file, "--retry", "--runs", other, "--dask", "tcp://here:1")
    assert made.asked == {"runs": other, "engine": ("cluster", "tcp://here:1"), "retry": True}


def test_the_time_left_goes_by_a_pass_of_each_worker(
    trajlab: Trajlab, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Trained()
    monkeypatch.setattr(runner, "train", made)
    monkeypatch.setattr(runner, "cluster", lambda address: None)
    monkeypatch.setattr(status, "measured", lambda study: {"digits": 3.0})
    trajlab("study", "run", file, "--workers", 4)
    assert made.pace == pytest.approx(3.0 / 4)
    trajlab("study", "run", file, "--dask", "tcp://here:1")
    assert math.isnan(made.pace)  # it is not known how many it has
    nothing = status.Outlook(wanted=0, left=0, open=[], known=True)
    monkeypatch.setattr(status, "outlook", lambda study: nothing)
    assert trajlab("study", "run", file, "--workers", 4).exit_code == 0
    assert math.isnan(made.pace)


def left(shown: Any) -> str:
    (task,) = shown.tasks
    rendered = shown.columns[-1].render(task)
    assert isinstance(rendered, Text)
    return rendered.plain


def test_the_bar_counts_passes_and_tells_the_time_by_earlier_runs(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = bar()
    drawn.console.width = 64
    shown = Shown(drawn, 2.0)
    for run in of_stage(file):
        shown.wanted(run)
    (task,) = drawn.tasks
    assert (task.total, task.completed) == (24, 0)
    assert left(drawn) == "about 0:00:48"
    alone = next(run for run in of_stage(file) if not run.plan.condition)
    both = next(run for run in of_stage(file) if run.plan.condition)
    shown.failed(alone, "it did not work")
    assert (task.completed, shown.failures) == (2, {"it did not work": [alone]})
    shown.finished(both, 12.4)
    assert task.completed == 6
    shown.skipped(alone, "why")
    shown.lost(1)
    said = capsys.readouterr().err.splitlines()
    again = "failed before (why) and counts as tried; --retry trains it again"
    assert said == [  # a path that was broken over lines could not be copied
        f"{both.path} trained in 12 s",
        f"{alone.path} {again}",
        "A worker was lost; its run goes on from its last checkpoint.",
    ]
    unknown = bar()
    shown = Shown(unknown, math.nan)
    assert unknown.tasks[0].total == 0  # of no run that is wanted
    shown.wanted(alone)
    assert left(unknown) == "-:--:--"


def test_a_study_that_cannot_be_read_is_one_sentence(trajlab: Trajlab, file: Path) -> None:
    file.write_text("lerning_rate = 0.1")
    done = trajlab("study", "status", file)
    assert done.exit_code == 2
    assert "did you mean 'learning_rate'" in done.stderr
    with pytest.raises(TrajlabError, match="did you mean 'learning_rate'"):
        read(file)
