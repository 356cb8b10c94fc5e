# ruff: noqa: NPY002 - the global stream of NumPy is one of those that must not move
"""Training with a recorder ends exactly where training without one ends."""

import random
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.models import TwoHeads
from trajlab import Recorder, probes
from trajlab.record.probes import Probe
from trajlab.store import Trajectory

guard_module = sys.modules["trajlab.measure.guard"]
PARTS: Sequence[Callable[..., Any]] = guard_module.PARTS
TASKS = ["left", "right"]
SAMPLE = [torch.linspace(-1, 1, 48).reshape(8, 6) + shift for shift in (0.0, 0.3, 0.7)]


def trunk(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, width)
    )


def hostile(model: TwoHeads, x: Tensor) -> dict[str, Tensor]:
    """Per-example losses that change everything a guard can protect."""
    torch.rand(3), np.random.rand(3), random.random()
    model.trunk[1].train()
    model(x)  # moves its statistics; the dropout stays off
    model.trunk[1].eval()
    model.table(torch.arange(2))  # writes the rows it clips
    left, right = model(x)
    if torch.is_grad_enabled():
        (left.sum() + right.sum()).backward(retain_graph=True)
    model.left.register_forward_hook(lambda module, inputs, output: 1.5 * output)
    torch.set_autocast_enabled("cpu", True)
    return {"left": left.logsumexp(1), "right": right.pow(2).sum(1)}


EVERY_PROBE = {
    name
    for name, kind in vars(probes).items()
    if isinstance(kind, type) and issubclass(kind, Probe) and kind is not Probe
}


def all_probes(data: object) -> list[Probe]:
    chosen = [
        probes.TaskGradients(every=1),
        probes.GradientSketch(every=5, size=16),
        probes.Parameters(every=3),
        probes.HessianTop(every=7, data=data, trace_probes=2, by_layer=True, warm_start=True),
    ]
    if data is not None:
        chosen += [
            probes.ExampleConflict(20, data, sizes=(1, 2)),
            probes.FisherTrace(9, data),
            probes.GradientNoise(9, data),
            probes.HessianDensity(20, data, runs=1, nodes=3),
            probes.GradientSimilarity(8, data),
            probes.Sharpness(25, data, iterations=3),
            probes.TaskAffinity(10, data, learning_rate=0.1),
        ]
    assert data is None or {type(probe).__name__ for probe in chosen} == EVERY_PROBE
    return chosen


def train(path: Path | None, data: object = None, steps: int = 50) -> dict[str, Any]:
    """Train and return everything that training can see."""
    torch.set_autocast_enabled("cpu", False)
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    model = TwoHeads(5, trunk)
    model.table = nn.Embedding(4, 2, max_norm=0.01)
    optimizer = torch.optim.AdamW(model.parameters(), 0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
    recorder = None
    if path:
        recorder = Recorder(
            path,
            model,
            tasks=TASKS,
            optimizer=optimizer,
            probes=all_probes(data),
            task_losses=hostile,
            predict=lambda model, x: {
                task: torch.stack([-loss, loss], 1) for task, loss in hostile(model, x).items()
            },
        )
    seen: list[float] = []
    with recorder or nullcontext():
        for _ in range(steps):
            x = torch.randn(16, 6) + np.random.rand() + random.random()
            y = torch.randint(0, 3, (2, 16))
            outputs = model(x)
            losses = {
                task: nn.functional.cross_entropy(out.float(), target)
                for task, out, target in zip(TASKS, outputs, y, strict=True)
            }
            if recorder:
                recorder.backward(losses)
            else:
                sum(losses.values()).backward()
            seen += [loss.item() for loss in losses.values()]
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    return {
        "losses": seen,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "modes": [module.training for module in model.modules()],
        "gradients": [p.grad for p in model.parameters()],
        "random": (torch.get_rng_state(), np.random.get_state(), random.getstate()),
        "modes of autograd": (torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")),
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor | np.ndarray):
        return bool(torch.equal(torch.as_tensor(a), torch.as_tensor(b)))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return train(None)


@pytest.mark.parametrize("data", [None, SAMPLE])
def test_all_probes_change_nothing(tmp_path: Path, plain: dict[str, Any], data: object) -> None:
    recorded = train(tmp_path / "run.h5", data)
    assert {name for name in plain if not same(plain[name], recorded[name])} == set()
    run = Trajectory(tmp_path / "run.h5")
    assert len(run.table("gradients")["step"]) == 50
    assert len(run.table("hessian")["step"]) == 8
    assert not np.isnan(run.table("hessian")["top"]).any()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_each_part_of_the_guard_is_needed(
    tmp_path: Path, part: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every probe measures at the first step, so that what is not guarded shows in the second."""
    few = train(None, steps=2)
    monkeypatch.setattr(guard_module, "PARTS", [p for p in PARTS if p is not part])
    try:
        assert not same(few, train(tmp_path / "run.h5", SAMPLE, steps=2))
    finally:
        torch.set_autocast_enabled("cpu", False)
