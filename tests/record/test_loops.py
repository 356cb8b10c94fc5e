"""Other people's training loops: checkpointed, partly frozen, with several optimizers, or with a
multi-task optimizer that owns the backward."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchjd.aggregation import UPGrad
from torchjd.autojac import jac_to_grad, mtl_backward

from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, losses, same, total, true_gram
from trajlab import Recorder, probes
from trajlab.store import Trajectory

Loop = Callable[[TwoHeads, Recorder | None], list[Tensor]]


def record(path: Path, model: TwoHeads, loop: Loop) -> Trajectory:
    """Run a loop with and without a recorder; the weights must be identical."""
    plain = TwoHeads()
    plain.load_state_dict(model.state_dict())
    for theirs, ours in zip(plain.parameters(), model.parameters(), strict=True):
        theirs.requires_grad_(ours.requires_grad)
    start = [p.detach().clone() for p in plain.parameters()]
    loop(plain, None)
    with Recorder(
        path, model, tasks=TASKS, shared=model.trunk, probes=[probes.TaskGradients()]
    ) as recorder:
        true = loop(model, recorder)
    assert same(model, plain)
    assert not all(map(torch.equal, start, plain.parameters()))
    run = Trajectory(path)
    assert np.allclose(run.gram(), torch.stack(true), rtol=1e-4)
    return run


class Checkpointed(nn.Module):
    """A trunk whose activations are computed again in the backward pass."""

    def __init__(self, inner: nn.Sequential) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.inner:
            x = checkpoint(layer, x, use_reentrant=False)
        return x


def test_activation_checkpointing(tmp_path: Path) -> None:
    """Also with dropout and BatchNorm, which a second forward would change."""

    def run(path: Path | None) -> tuple[TwoHeads, list[Tensor]]:
        model = TwoHeads()
        inner = nn.Sequential(*model.trunk, nn.BatchNorm1d(8), nn.Dropout(0.5))
        model.trunk = Checkpointed(inner) if path is None or "plain" not in path.name else inner
        optimizer = torch.optim.SGD(model.parameters(), 0.3)
        torch.manual_seed(3)
        grams = []
        recorder = None
        if path is not None:
            recorder = Recorder(
                path, model, tasks=TASKS, shared=inner, probes=[probes.TaskGradients()]
            )
        for batch in batches(3):
            values = losses(model, batch)
            if recorder:
                recorder.backward(values)
            else:
                total(values).backward()
            optimizer.step()
            optimizer.zero_grad()
        if recorder:
            recorder.close()
            grams = list(torch.from_numpy(Trajectory(path).gram()))
        return model, grams

    without, _ = run(None)
    recorded, grams = run(tmp_path / "checkpointed.h5")
    assert same(recorded, without)
    _, true = run(tmp_path / "plain.h5")
    assert np.allclose(torch.stack(grams), torch.stack(true), rtol=1e-4)


def test_low_rank_adapters_are_all_that_is_recorded(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    models = TwoHeads(), TwoHeads()
    config = peft.LoraConfig(target_modules=["trunk.0", "trunk.2"], r=2, init_lora_weights=False)
    adapted = []
    for model in models:
        torch.manual_seed(1)
        adapted.append(peft.get_peft_model(model, config))
    optimizers = [torch.optim.SGD(m.parameters(), 0.3) for m in adapted]
    true = []
    with Recorder(
        tmp_path / "run.h5", adapted[0], tasks=TASKS, probes=[probes.TaskGradients()]
    ) as recorder:
        for batch in batches(2):
            true.append(true_gram(adapted[0], batch, ""))
            recorder.backward(losses(adapted[0], batch))
            total(losses(adapted[1], batch)).backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
    assert same(*adapted)
    run = Trajectory(tmp_path / "run.h5")
    assert all("lora_" in name for name in run.shared)
    assert len(run.shared) == 4
    assert np.allclose(run.gram(), torch.stack(true), rtol=1e-4)


def test_several_optimizers(tmp_path: Path) -> None:
    models = TwoHeads(), TwoHeads()
    pairs = [
        (
            torch.optim.Adam(m.trunk.parameters(), 0.01),
            torch.optim.SGD([*m.left.parameters(), *m.right.parameters()], 0.3),
        )
        for m in models
    ]
    true = []
    with Recorder(
        tmp_path / "run.h5",
        models[0],
        tasks=TASKS,
        shared=models[0].trunk,
        optimizer=pairs[0][0],
        probes=[probes.TaskGradients()],
    ) as recorder:
        for batch in batches(3):
            true.append(true_gram(models[0], batch))
            recorder.backward(losses(models[0], batch))
            total(losses(models[1], batch)).backward()
            for optimizer in (*pairs[0], *pairs[1]):
                optimizer.step()
                optimizer.zero_grad()
    assert same(*models)
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("losses")["step"].tolist() == [0, 1, 2]
    assert run.table("losses")["learning_rate"].tolist() == [0.01] * 3
    assert np.allclose(run.gram(), torch.stack(true), rtol=1e-4)


def test_torchjd(tmp_path: Path) -> None:
    def loop(model: TwoHeads, recorder: Recorder | None) -> list[Tensor]:
        optimizer = torch.optim.SGD(model.parameters(), 0.3)
        aggregator = UPGrad()
        true = []
        for batch in batches(3):
            true.append(true_gram(model, batch))
            z = model.trunk(batch[0])
            ce = nn.functional.cross_entropy
            values = {
                "left": ce(model.left(z), batch[1][:, 0]),
                "right": ce(model.right(z), batch[1][:, 1]),
            }
            if recorder:
                recorder.observe(values)
            mtl_backward(list(values.values()), features=z)
            jac_to_grad(model.trunk.parameters(), aggregator)
            optimizer.step()
            optimizer.zero_grad()
        return true

    record(tmp_path / "run.h5", TwoHeads(), loop)


def test_loop_that_combines_task_gradients_itself(tmp_path: Path) -> None:
    """PCGrad as LibMTL writes it: a gradient a task, combined, and set as ``.grad``."""

    def loop(model: TwoHeads, recorder: Recorder | None) -> list[Tensor]:
        optimizer = torch.optim.SGD(model.parameters(), 0.3)
        shared = list(model.trunk.parameters())
        true = []
        for batch in batches(3):
            true.append(true_gram(model, batch))
            values = losses(model, batch)
            if recorder:
                recorder.observe(values)
            rows = []
            for loss in values.values():
                optimizer.zero_grad()
                loss.backward(retain_graph=True)
                rows.append(torch.cat([p.grad.reshape(-1) for p in shared]))
            a, b = rows
            dot = torch.dot(a, b)
            if dot < 0:
                a, b = a - dot / b.dot(b) * b, b - dot / a.dot(a) * a
            pieces = (a + b).split([p.numel() for p in shared])
            for parameter, piece in zip(shared, pieces, strict=True):
                parameter.grad = piece.view_as(parameter).clone()
            optimizer.step()
        return true

    record(tmp_path / "run.h5", TwoHeads(), loop)
