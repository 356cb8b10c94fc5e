"""Accelerate itself, training a small model with what fails beside it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from tests.integration.failing import Broken, Unreachable
from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, joined, losses, recorder_of, same, true_gram
from trajlab import probes
from trajlab.store import Trajectory

DATA = batches(6)


def train(path: Path | None) -> TwoHeads:
    """Two batches an update, and weights clipped, as Accelerate's own examples do."""
    accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
    model = TwoHeads()
    wrapped, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), 0.3))
    chosen = probes.TaskGradients(), Broken(every=1)
    recorder = path and recorder_of(path, wrapped, optimizer, *chosen, sinks=[Unreachable()])
    for batch in DATA:
        with accelerator.accumulate(wrapped):
            values = losses(wrapped, batch)
            if recorder:
                recorder.observe(values, accumulate=2)
            accelerator.backward(sum(values.values()))
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(wrapped.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()
    if recorder:
        recorder.evaluate("test", {task: {"loss": 1.0} for task in TASKS})
        recorder.close()
    return model


def test_nothing_beside_training_ends_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert same(train(tmp_path / "run.h5"), train(None))
    for failed in ("out of memory", "host is down"):
        assert caplog.text.count(failed) == 1
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("losses")["step"].tolist() == [0, 0, 1, 1, 2, 2]
    assert run.table("gradients")["step"].tolist() == [0, 1, 2]
    assert run.table("evaluations/test")["step"].tolist() == [3]
    assert np.allclose(run.gram()[0], true_gram(TwoHeads(), joined(DATA[:2])), rtol=1e-4)
