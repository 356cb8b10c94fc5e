"""Losses that reach none of the shared parameters are told, and never zeros in silence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.models import TwoHeads
from tests.record.loops import SAMPLED, TASKS, batches, recorder_of
from trajlab import Recorder, TrajlabError, probes
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


def on_data(model: TwoHeads, batch: tuple[Tensor, Tensor], detached: Sequence[str]) -> Any:
    z = model.trunk(batch[0])
    return {task: getattr(model, task)(z.detach() if task in detached else z) for task in TASKS}


def on_sample(path: Path, detached: Sequence[str]) -> Trajectory:
    """Record each probe that measures on data of its own, on which heads may stand alone."""
    data = batches(4)
    model = TwoHeads()

    def task_losses(model: Any, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        logits = on_data(model, batch, detached)
        return {
            task: nn.functional.cross_entropy(logits[task], batch[1][:, i], reduction="none")
            for i, task in enumerate(TASKS)
        }

    with Recorder(
        path,
        model,
        tasks=TASKS,
        shared=model.trunk,
        probes=[
            probes.HessianTop(1, data=data),
            probes.HessianDensity(1, data, runs=1, nodes=2),
            probes.GradientNoise(1, data),
            probes.GradientSimilarity(1, data),
            probes.Sharpness(1, data, iterations=1),
            probes.TaskAffinity(1, data, learning_rate=0.1),
            probes.FisherTrace(1, data),
        ],
        task_losses=task_losses,
        predict=lambda model, batch: on_data(model, batch, detached),
    ) as recorder:
        recorder.observe(heads_alone(model, []))
    return Trajectory(path)


def test_probes_on_data_of_their_own_say_so_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = on_sample(tmp_path / "none.h5", TASKS)
    for name, column in SAMPLED.items():
        table = run.table(name)
        assert np.isnan(table[column]).all(), name
        assert all("reach none" in reason for reason in np.ravel(table["reason"])), name
    caplog.clear()
    run = on_sample(tmp_path / "all.h5", [])
    assert "reaches none" not in caplog.text
    for name in SAMPLED:
        if "reason" in run.table(name):
            known = {""} | ({"noise-dominated"} if name == "similarity" else set())
            assert set(np.ravel(run.table(name)["reason"])) <= known, name
    on_sample(tmp_path / "some.h5", ["left"])
    told = [m for m in caplog.messages if "reaches none" in m]
    assert len(told) == len(SAMPLED)
    assert all("task 'left'" in message for message in told)


def test_a_hessian_on_the_graph_says_so_too(tmp_path: Path) -> None:
    table = record(tmp_path / "run.h5", "backward", [probes.HessianTop(1)], TASKS).table("hessian")
    assert np.isnan(table["top"]).all()
    assert all("reach none" in reason for reason in np.ravel(table["reason"]))


def test_losses_that_reach_them_are_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = record(tmp_path / "run.h5", "backward", [probes.TaskGradients()], [])
    assert (run.gram() != 0).all()
    assert not caplog.messages
