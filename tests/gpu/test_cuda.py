"""Measurements on a GPU are right, and training goes there as without them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests import zoo
from tests.models import TwoHeads
from tests.record import test_presets as presets
from tests.record import test_zoo as grams
from tests.record.loops import TASKS, Batch, batches, losses, recorder_of, same, total, true_gram
from trajlab import probes
from trajlab.measure import hessian_trace, top_eigenvalue
from trajlab.store import Trajectory

# some operations have no algorithm that gives the same bits each time
pytestmark = pytest.mark.filterwarnings("ignore:.*deterministic")


@pytest.mark.parametrize("name", zoo.CASES)
def test_gram_is_exact_and_training_is_bit_identical(name: str, tmp_path: Path) -> None:
    grams.test_gram_is_exact_and_training_is_bit_identical(name, torch.float64, tmp_path)


@pytest.mark.parametrize(("name", "preset"), presets.IN_TURN)
def test_presets_change_nothing(name: str, preset: str, tmp_path: Path) -> None:
    presets.test_training_is_bit_identical(name, preset, tmp_path)


def noisy(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, width))


def test_the_random_stream_of_the_device_does_not_move(tmp_path: Path) -> None:
    """Dropout draws on the device, in training and in the probes that run the model again."""
    states, models = [], []
    for path in (None, tmp_path / "run.h5"):
        torch.cuda.manual_seed(0)
        model = TwoHeads(5, noisy)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        parts = on_device(3)
        chosen = probes.full(parts, every=[1])
        recorder = path and recorder_of(
            path, model, optimizer, *chosen, task_losses=each, predict=logits
        )
        for batch in parts:
            values = losses(model, batch)
            recorder.backward(values) if recorder else total(values).backward()
            optimizer.step()
            optimizer.zero_grad()
        if recorder:
            recorder.close()
        states.append(torch.cuda.get_rng_state())
        models.append(model)
    assert torch.equal(*states)
    assert same(*models)


def on_device(n: int, size: int = 8) -> list[Batch]:
    with torch.device("cpu"):  # drawn by a generator of the CPU
        parts = batches(n, size)
    return [(x.cuda(), y.cuda()) for x, y in parts]


def each(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    left, right = model(batch[0])
    ce = nn.functional.cross_entropy
    return {
        "left": ce(left, batch[1][:, 0], reduction="none"),
        "right": ce(right, batch[1][:, 1], reduction="none"),
    }


def logits(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    return dict(zip(TASKS, model(batch[0]), strict=True))


def test_curvature_is_that_of_the_cpu() -> None:
    found = []
    for device in ("cpu", "cuda"):
        with torch.device("cpu"):
            model, ((x, y),) = TwoHeads(5).double(), batches(1)
        model, batch = model.to(device), (x.double().to(device), y.to(device))
        parameters = dict(model.named_parameters())
        top = top_eigenvalue(total(losses(model, batch)), parameters, tolerance=1e-9)
        trace = hessian_trace(total(losses(model, batch)), parameters, probes=400)
        found.append((top.value, trace.value, trace.se))
    (top, trace, error), (expected, expected_trace, expected_error) = found
    assert top == pytest.approx(expected, rel=1e-7)
    assert abs(trace - expected_trace) < 5 * np.hypot(error, expected_error)


def test_half_precision_with_loss_scaling(tmp_path: Path) -> None:
    models = TwoHeads(64), TwoHeads(64)
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [torch.optim.SGD(model.parameters(), 0.3) for model in models]
    scalers = [torch.amp.GradScaler("cuda", init_scale=2.0**10) for _ in models]
    (batch,) = on_device(1, 32)
    true = true_gram(models[0], batch).cpu()
    path = tmp_path / "run.h5"
    with recorder_of(
        path, models[0], optimizers[0], probes.TaskGradients(), scaler=scalers[0]
    ) as recorder:
        for model, optimizer, scaler in zip(models, optimizers, scalers, strict=True):
            with torch.autocast("cuda", torch.float16):
                values = losses(model, batch)
            if model is models[0]:
                recorder.backward(values)
            else:
                scaler.scale(total(values)).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    assert same(*models)
    found = Trajectory(path).gram()[0]
    assert np.allclose(found, true, rtol=0.03, atol=0.01 * float(true.max()))
