"""The presets on the models of the zoo of single examples: training goes as without.

Each model has one of them in turn; ``make presets-test`` tries all three on all.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.example_zoo import CASES, build
from trajlab import Recorder, probes
from trajlab.store import Trajectory
from trajlab.store.view import View

SAMPLE = [0, 1, 2]  # each batch is the case's own
PRESETS: dict[str, Any] = {
    "light": lambda: probes.light(),
    "paper": lambda: probes.paper(SAMPLE, every=[1]),
    "full": lambda: probes.full(SAMPLE, every=[1]),
}


MEASURED = {
    "gradients": "gram",
    "sharpness": "value",
    "noise": "covariance_trace",
    "fisher": "trace",
    "similarity": "cosine",
    "hessian": "top",
    "hessian_density": "eigenvalue",
    "affinity": "affinity",
}


def train(name: str, preset: str | None, path: Path) -> dict[str, Tensor]:
    """Train three steps on a loss and on its square; return all that training leaves."""
    model, rows = build(name)
    model.train()
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def task_losses(model: nn.Module, _: Any = None) -> dict[str, Tensor]:
        loss = rows(model)
        return {"a": loss, "b": loss.square()}

    recorder = preset and Recorder(
        path,
        model,
        tasks=["a", "b"],
        shared=model,
        optimizer=optimizer,
        probes=PRESETS[preset](),
        task_losses=task_losses,
        predict=lambda m, _: {t: torch.stack([-v, v], 1) for t, v in task_losses(m).items()},
    )
    for step in range(3):
        losses = {task: loss.mean() for task, loss in task_losses(model).items()}
        if recorder:
            recorder.backward(losses)
        else:
            (losses["a"] + losses["b"]).backward()
        optimizer.step()
        if step < 2:
            optimizer.zero_grad()
    if recorder:
        recorder.close()
    left = dict(model.state_dict()) | {"random state": torch.get_rng_state()}
    for key, p in model.named_parameters():
        gradients = {"gradient": p.grad, "momentum": optimizer.state[p].get("momentum_buffer")}
        left |= {f"{what} of {key}": g for what, g in gradients.items() if g is not None}
    return left


@cache
def plain(name: str) -> dict[str, Tensor]:
    return train(name, None, Path())


IN_TURN = [(name, list(PRESETS)[i % len(PRESETS)]) for i, name in enumerate(CASES)]
ALL = [(name, preset) for name in CASES for preset in PRESETS]


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # within torch.func.jvp
@pytest.mark.parametrize(("name", "preset"), ALL if "TRAJLAB_PRESETS" in os.environ else IN_TURN)
def test_training_is_bit_identical(name: str, preset: str, tmp_path: Path) -> None:
    recorded, expected = train(name, preset, tmp_path / "run.h5"), plain(name)
    assert recorded.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(whole(recorded[key]), whole(value)), key
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("losses")["step"].tolist() == [0, 1, 2]
    assert (preset == "light") != ("noise" in run.tables)
    for table, column in MEASURED.items():
        if table in run.tables:
            assert_told(run.table(table), column)


def whole(value: Tensor) -> Tensor:
    return value.to_dense() if value.is_sparse else value


def assert_told(table: View, column: str) -> None:
    """What is missing has its reason in its row, as have numbers that are not sure."""
    values = table[column]
    if table.name == "hessian_density":
        values = values[..., 0]  # further nodes are needed only where the first do not suffice
    missing = np.isnan(values.reshape(len(values), -1)).any(1)
    reasons = table["reason"] if "reason" in table else np.full(len(values), "")
    assert (~missing | (reasons.reshape(len(values), -1) != "").any(1)).all(), table.name


def test_type_checkers_see_every_probe():
    assert set(probes.PROBES) <= set(probes.__all__)
