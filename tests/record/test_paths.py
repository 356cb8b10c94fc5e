"""Where the file lies, whatever becomes of the working folder."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, losses
from trajlab import Recorder, TrajlabError, load
from trajlab.store import Trajectory


def record(path: str, elsewhere: Path | None = None) -> None:
    model = TwoHeads()
    with Recorder(path, model, tasks=TASKS, shared=model.trunk) as recorder:
        if elsewhere is not None:
            os.chdir(elsewhere)
        recorder.backward(losses(model, batches(1)[0]))
        recorder.flush()
        recorder.evaluate("test", {task: {"loss": 1.0} for task in TASKS})


def test_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home, here):
        folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    record("~/runs/run.h5")
    assert list(here.iterdir()) == []
    assert (home / "runs/run.h5").is_file()
    assert len(load("~/runs")) == 1
    assert Trajectory("~/runs/run.h5").status == "complete"


def test_relative_path_survives_another_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    record("run.h5", elsewhere)
    assert list(elsewhere.iterdir()) == []
    assert Trajectory(tmp_path / "run.h5").status == "complete"


@pytest.mark.parametrize(
    "path", [5, None, b"run.h5", True, ["run.h5"], "a\0.h5", "~nobody-here/r.h5"]
)
def test_what_is_no_path_is_refused(path: Any) -> None:
    model = TwoHeads()
    for resume in (False, True):
        with pytest.raises(TrajlabError, match=r"is no path; give|leads to no home folder"):
            Recorder(path, model, tasks=TASKS, shared=model.trunk, resume=resume)
    with pytest.raises(TrajlabError, match=r"is no path; give|leads to no home folder"):
        Trajectory(path)
