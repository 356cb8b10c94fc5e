"""Losses that reach none of the shared parameters are told, and never zeros in silence."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, recorder_of
from trajlab import TrajlabError, probes
from trajlab.record.probes import Probe
from trajlab.store import Trajectory

X, Y = batches(1)[0]


def heads_alone(model: TwoHeads, detached: Sequence[str] = TASKS) -> dict[str, Tensor]:
    """Losses of which some stop at a copy of the trunk's output."""
    z = model.trunk(X)
    values = {}
    for column, task in enumerate(TASKS):
        read = z.detach().clone().requires_grad_() if task in detached else z
        logits = getattr(model, task)(read)
        values[task] = nn.functional.cross_entropy(logits, Y[:, column])
    return values


def record(
    path: Path, loop: str, chosen: Sequence[Probe], detached: Sequence[str], strict: bool = False
) -> Trajectory:
    model = TwoHeads()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with recorder_of(path, model, optimizer, *chosen, strict=strict) as recorder:
        for _ in range(2):
            for _ in range(2 if loop == "accumulate" else 1):
                values = heads_alone(model, detached)
                if loop == "observe":
                    recorder.observe(values)
                    (values["left"] + values["right"]).backward()
                else:
                    recorder.backward(values, accumulate=2 if loop == "accumulate" else 1)
            optimizer.step()
            optimizer.zero_grad()
    return Trajectory(path)


@pytest.mark.parametrize("loop", ["backward", "observe", "accumulate"])
@pytest.mark.parametrize("kind", [probes.TaskGradients, probes.GradientSketch])
def test_rows_hold_the_reason_if_no_loss_reaches_anything(
    tmp_path: Path, loop: str, kind: type[Probe], caplog: pytest.LogCaptureFixture
) -> None:
    run = record(tmp_path / "run.h5", loop, [kind(every=1)], TASKS)
    name, column = {
        probes.TaskGradients: ("gradients", "gram"),
        probes.GradientSketch: ("sketches", "sketch"),
    }[kind]
    table = run.table(name)
    assert table["step"].tolist() == [0, 1]
    assert np.isnan(table[column]).all()
    assert all("reach none of the shared parameters" in reason for reason in table["reason"])
    assert sum("reach none" in message for message in caplog.messages) == 1
    with pytest.raises(TrajlabError, match="give another shared="):
        record(tmp_path / "strict.h5", loop, [kind(every=1)], TASKS, strict=True)


@pytest.mark.parametrize("loop", ["backward", "observe", "accumulate"])
def test_one_task_without_a_gradient_is_told_once_and_zero(
    tmp_path: Path, loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    gram = record(tmp_path / "run.h5", loop, [probes.TaskGradients()], ["left"]).gram()
    assert (gram[:, 1, 1] > 0).all()
    assert not gram[:, 0].any()
    (told,) = [m for m in caplog.messages if "reaches none" in m]
    assert "task 'left'" in told
    assert "step 0" in told


def test_losses_that_reach_them_are_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = record(tmp_path / "run.h5", "backward", [probes.TaskGradients()], [])
    assert (run.gram() != 0).all()
    assert not caplog.messages
