"""A reentrant checkpoint hides parameters: reasons in the place of numbers, never zeros."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tests.models import TwoHeads
from tests.record.loops import SAMPLED, TASKS, batches, recorder_of, same
from trajlab import probes
from trajlab.store import Trajectory

SAMPLE = batches(3)
NUMBERS = {"gradients": "gram", "sketches": "sketch", **SAMPLED}


class HalfHidden(TwoHeads):
    """The trunk's first layer is on the graph, and the second one is not."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.trunk[:2](x)
        z = z + checkpoint(self.trunk[2:], z, use_reentrant=True)
        return self.left(z), self.right(z)


def task_losses(model: nn.Module, batch: Any) -> dict[str, Tensor]:
    x, y = batch
    return {
        task: nn.functional.cross_entropy(logits, y[:, i], reduction="none")
        for i, (task, logits) in enumerate(zip(TASKS, model(x), strict=True))
    }


def train(path: Path | None, loop: str) -> nn.Module:
    torch.manual_seed(0)
    model = HalfHidden()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    chosen = [*probes.full(SAMPLE, every=[0]), probes.GradientSketch(1, size=16)]
    recorder = path and recorder_of(
        path,
        model,
        optimizer,
        *chosen,
        task_losses=task_losses,
        predict=lambda m, batch: dict(zip(TASKS, m(batch[0]), strict=True)),
    )
    passes = 2 if loop == "accumulate" else 1
    for number, batch in enumerate(batches(2 * passes, seed=4), start=1):
        values = {task: loss.mean() for task, loss in task_losses(model, batch).items()}
        total = sum(values.values()) / passes
        if recorder and loop != "observe":
            recorder.backward(values, accumulate=passes)
        else:
            if recorder:
                recorder.observe(values)
            total.backward()
        if number % passes == 0:
            optimizer.step()
            optimizer.zero_grad()
    if recorder:
        recorder.close()
    return model


@pytest.mark.parametrize("loop", ["backward", "observe", "accumulate"])
def test_what_is_hidden_is_a_reason_and_training_bit_identical(tmp_path: Path, loop: str) -> None:
    recorded = train(tmp_path / "run.h5", loop)
    assert same(recorded, train(None, loop))
    run = Trajectory(tmp_path / "run.h5")
    assert len(run.table("losses")["step"])
    for name, column in NUMBERS.items():
        table = run.table(name)
        assert np.isnan(table[column]).all(), name
        assert all("reentrant checkpoint" in reason for reason in np.ravel(table["reason"])), name
    assert np.isfinite(run.table("parameters")["distance_from_start"]).all()
