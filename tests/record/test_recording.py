"""The run of a recorder: begun, gone on with, and sealed whatever ends the loop."""

import gc
import logging
import signal
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.models import TwoHeads
from tests.record.loops import batches, losses, recorder
from trajlab import Recorder, TrajlabError, probes
from trajlab.store import Trajectory


@pytest.mark.parametrize("update", [False, True])
def test_recorder_that_nobody_holds_is_freed_and_its_run_sealed(
    path: Path, model: TwoHeads, update: bool, caplog: pytest.LogCaptureFixture
) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    before = signal.getsignal(signal.SIGTERM)
    r = recorder(
        path,
        model,
        shared=model.trunk,
        optimizer=optimizer,
        probes=[probes.TaskGradients(update=update)],
    )
    kept = weakref.ref(r)
    for batch in batches(3):
        r.backward(losses(model, batch))
        optimizer.step()
        optimizer.zero_grad()
    del r
    gc.collect()
    assert kept() is None
    assert signal.getsignal(signal.SIGTERM) == before
    run = Trajectory(path)
    assert run.status == "recording"
    assert run.gram().shape == (3, 2, 2)
    assert "was not closed" in caplog.text
    optimizer.step()  # what watched it is gone
    with recorder(path, model, shared=model.trunk, resume=True) as resumed:
        assert resumed.step == 3


def test_errors_of_the_users_code_are_raised_unchanged_and_the_run_is_sealed(
    path: Path, model: TwoHeads
) -> None:
    error = KeyError("mine")

    def train() -> None:
        with recorder(path, model, shared=model.trunk) as r:
            r.backward(losses(model, batches(1)[0]))
            raise error

    with pytest.raises(KeyError) as caught:
        train()
    assert caught.value is error
    run = Trajectory(path)
    assert run.status == "recording"
    assert len(run.table("losses")["step"]) == 1


def test_failure_to_seal_does_not_hide_the_users_error(
    path: Path, model: TwoHeads, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    r = recorder(path, model, shared=model.trunk)

    def train() -> None:
        with r:
            monkeypatch.setattr(r._writer, "flush", lambda: 1 / 0)
            raise KeyError

    with pytest.raises(KeyError):
        train()
    assert "could not seal" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR
    monkeypatch.undo()
    r.close()


def test_resumed_run_supersedes_what_followed_the_checkpoint(path: Path, model: TwoHeads) -> None:
    def record(r: Recorder, n: int) -> None:
        for batch in batches(n):
            r.backward(losses(model, batch))
        r.evaluate("test", {"left": {"loss": float(n)}})

    with recorder(path, model, shared=model.trunk, resume=True) as r:  # none yet: starts it
        record(r, 3)
        state = r.state_dict()
        assert Trajectory(path).table("losses")["step"].tolist() == [0, 1, 2]
        record(r, 4)
    for resume, n in (({"from_step": 3}, 2), ({}, 1)):
        with recorder(path, model, shared=model.trunk, resume=True, **resume) as r:
            if not resume:
                r.load_state_dict(state)
            assert (r.step, r.epoch) == (3, 1)
            record(r, n)
            assert r.epoch == 2
        run = Trajectory(path)
        assert run.table("losses")["step"].tolist() == [0, 1, 2, *range(3, 3 + n)]
        assert run.table("evaluations/test")["loss"][:, 0].tolist() == [3, n]
    with recorder(path, model, shared=model.trunk, resume=True) as r:
        assert (r.step, r.epoch) == (4, 2)
        r.backward(losses(model, batches(1)[0]))
        with pytest.raises(TrajlabError, match="load the checkpoint before recording"):
            r.load_state_dict(state)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda m: {"tasks": ["a", "a"]}, "distinct names"),
        (lambda m: {"tasks": "ab"}, "list of names"),
        (lambda m: {"tasks": ["a"], "shared": nn.Linear(2, 2)}, "not the model's"),
        (lambda m: {"tasks": ["a"], "shared": m.trunk[1]}, "no trainable parameter"),
        (lambda m: {"tasks": ["a"], "shared": m.trunk, "from_step": 3}, "resume=True"),
    ],
)
def test_wrong_construction_is_one_sentence(
    path: Path, model: TwoHeads, make: Any, sentence: str
) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        Recorder(path, model, **make(model))
    assert not path.exists()


def test_existing_file_is_refused(path: Path, model: TwoHeads) -> None:
    recorder(path, model).close()
    with pytest.raises(TrajlabError, match="exists"):
        recorder(path, model)


def test_closed_recorder_records_no_more(path: Path, model: TwoHeads) -> None:
    with recorder(path, model, shared=model.trunk) as r:
        r.backward(losses(model, batches(1)[0]))
    r.close()
    model.zero_grad()
    with pytest.raises(TrajlabError, match="is closed"):
        r.evaluate("test", {"left": {"loss": 1.0}})
    with pytest.raises(TrajlabError, match="is closed"):
        r.backward(losses(model, batches(1)[0]))
    assert all(p.grad is None for p in model.parameters())
