"""Gradients before clipping, and what the optimizer took after it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, losses, same, total, true_gradients
from trajlab import Recorder, TrajlabError, probes
from trajlab.store import Trajectory


@pytest.mark.parametrize("kind", ["norm", "value"])
def test_before_and_after(tmp_path: Path, kind: str) -> None:
    models = TwoHeads(), TwoHeads()
    optimizers = [torch.optim.SGD(m.parameters(), 0.3) for m in models]
    true, taken = [], []
    with Recorder(
        tmp_path / "run.h5",
        models[0],
        tasks=TASKS,
        shared=models[0].trunk,
        optimizer=optimizers[0],
        probes=[probes.TaskGradients(update=True)],
    ) as recorder:
        for batch in batches(3):
            true.append(true_gradients(models[0], batch))
            recorder.backward(losses(models[0], batch))
            total(losses(models[1], batch)).backward()
            for model, optimizer in zip(models, optimizers, strict=True):
                if kind == "norm":
                    nn.utils.clip_grad_norm_(model.parameters(), 0.1)
                else:
                    nn.utils.clip_grad_value_(model.parameters(), 0.01)
                taken.append(torch.cat([p.grad.reshape(-1) for p in model.trunk.parameters()]))
                optimizer.step()
                optimizer.zero_grad()
    assert same(*models)
    run = Trajectory(tmp_path / "run.h5")
    table = run.table("gradients")
    for k, (gradients, update) in enumerate(zip(true, taken[::2], strict=True)):
        assert np.allclose(run.gram()[k], gradients @ gradients.mT, rtol=1e-5)  # not clipped
        assert np.allclose(table["update_dot"][k], gradients @ update.double(), rtol=1e-4)
        assert table["update_norm"][k] == pytest.approx(float(update.norm()), rel=1e-5)
        assert update.norm() < 0.6 * gradients.sum(0).norm()


def test_without_an_optimizer_to_watch_the_update_is_not_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = TwoHeads()
    with Recorder(
        tmp_path / "run.h5",
        model,
        tasks=TASKS,
        shared=model.trunk,
        probes=[probes.TaskGradients(update=True)],
    ) as recorder:
        recorder.backward(losses(model, batches(1)[0]))
    table = Trajectory(tmp_path / "run.h5").table("gradients")
    assert np.isnan(table["update_dot"]).all()
    assert np.isfinite(table["gram"]).all()
    assert "update_dot and update_norm; pass optimizer=" in caplog.text


@pytest.mark.parametrize("scope", ["representation", "all"])
def test_update_is_of_the_shared_parameters_alone(scope: str) -> None:
    with pytest.raises(TrajlabError, match=r"of the shared parameters alone; use scope="):
        probes.TaskGradients(scope=scope, update=True)
