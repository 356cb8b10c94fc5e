"""The presets on the models of the zoo of single examples, in turn: training goes as without."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.example_zoo import CASES, build
from trajlab import Recorder, probes
from trajlab.store import Trajectory

SAMPLE = [0, 1, 2]  # each batch is the case's own
PRESETS: dict[str, Any] = {
    "light": lambda: probes.light(),
    "paper": lambda: probes.paper(SAMPLE, every=[1]),
    "full": lambda: probes.full(SAMPLE, every=[1]),
}


def train(name: str, preset: str | None, path: Path) -> tuple[nn.Module, Tensor]:
    """Train three steps on a loss and on its square; return the model and the random state."""
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
    for _ in range(3):
        losses = {task: loss.mean() for task, loss in task_losses(model).items()}
        if recorder:
            recorder.backward(losses)
        else:
            (losses["a"] + losses["b"]).backward()
        optimizer.step()
        optimizer.zero_grad()
    if recorder:
        recorder.close()
    return model, torch.get_rng_state()


IN_TURN = [(name, list(PRESETS)[i % len(PRESETS)]) for i, name in enumerate(CASES)]


@pytest.mark.parametrize(("name", "preset"), IN_TURN)
def test_training_is_bit_identical(name: str, preset: str, tmp_path: Path) -> None:
    recorded, state = train(name, preset, tmp_path / "run.h5")
    plain, expected = train(name, None, tmp_path / "none.h5")
    assert torch.equal(state, expected)
    for key, value in plain.state_dict().items():
        assert torch.equal(recorded.state_dict()[key], value), key
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("losses")["step"].tolist() == [0, 1, 2]
    assert (preset == "light") != ("noise" in run.tables)
