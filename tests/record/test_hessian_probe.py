"""HessianTop on the current batch and on data of its own."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, TensorDataset

from tests.models import Cube, TwoHeads
from trajlab import Recorder, TrajlabError, probes
from trajlab.measure import top_eigenvalue
from trajlab.store import Trajectory


def trunk(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.Dropout(0.5), nn.Tanh())


def task_losses(model: TwoHeads, x: Tensor) -> dict[str, Tensor]:
    left, right = model(x)
    return {"left": left.pow(2).mean(1), "right": right.cosh().mean(1)}


def exact(model: TwoHeads, loss: Tensor) -> float:
    """Top eigenvalue of the Hessian with respect to the trunk, row by row."""
    parameters = list(model.trunk.parameters())
    gradient = torch.autograd.grad(loss, parameters, create_graph=True)
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(entry, parameters, retain_graph=True)])
        for entry in torch.cat([g.flatten() for g in gradient])
    ]
    return float(torch.linalg.eigvalsh(torch.stack(rows))[-1])


def recorder(path: Path, model: nn.Module, probe: probes.Probe, **arguments: Any) -> Recorder:
    return Recorder(
        path, model, tasks=["left", "right"], shared=model.trunk, probes=[probe], **arguments
    )


@pytest.fixture
def model() -> TwoHeads:
    return TwoHeads(4, trunk, (1, 1)).double()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(10, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was logged, but for the sentence that no optimizer is given."""
    return [record for record in caplog.records if "pass optimizer=" not in record.getMessage()]


def test_current_batch_with_its_own_dropout_and_unweighted(
    path: Path, model: TwoHeads, x: Tensor
) -> None:
    losses = {task: loss.mean() for task, loss in task_losses(model, x).items()}
    expected = [exact(model, loss) for loss in losses.values()]
    with recorder(path, model, probes.HessianTop(every=2)) as r:
        r.backward(losses, {"left": 10.0, "right": -1.0})
    table = Trajectory(path).table("hessian")
    assert table["top"][0] == pytest.approx(expected, rel=1e-3)
    assert table["converged"].all()
    assert (table["products"] >= 5).all()
    assert (table["residual"] <= 1e-3 * np.abs(table["top"])).all()
    assert table["reason"].tolist() == [["", ""]]
    assert table.attributes["mode"] == "training"


def test_omitted_task_is_nan_with_the_reason(
    path: Path, model: TwoHeads, x: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    with recorder(path, model, probes.HessianTop()) as r:
        r.backward({"left": task_losses(model, x)["left"].mean()})
    table = Trajectory(path).table("hessian")
    assert np.isnan(table["top"]).tolist() == [[False, True]]
    assert table["reason"][0, 1] == "no loss of this task was given"
    assert told(caplog) == []


@pytest.mark.parametrize("own_inputs", [False, True])
def test_own_data_counts_examples_in_evaluation_mode(
    path: Path, model: TwoHeads, x: Tensor, own_inputs: bool
) -> None:
    shared = [x[:7], x[7:]]
    data: Any = {"right": shared[1:], "left": shared} if own_inputs else shared
    probe = probes.HessianTop(every=[0], data=data)
    with recorder(path, model, probe, task_losses=task_losses) as r:
        r.backward({task: loss.mean() for task, loss in task_losses(model, x).items()})
    assert model.trunk[1].training
    model.eval()
    expected = [
        exact(model, task_losses(model, x)["left"].mean()),
        exact(model, task_losses(model, x[7:] if own_inputs else x)["right"].mean()),
    ]
    table = Trajectory(path).table("hessian")
    assert table["top"][0] == pytest.approx(expected, rel=1e-3)
    assert table.attributes["mode"] == "evaluation"


def test_epoch_schedule_measures_at_the_evaluation(path: Path, model: TwoHeads, x: Tensor) -> None:
    probe = probes.HessianTop(every="epoch", data=[x])
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    expected = []
    with recorder(path, model, probe, optimizer=optimizer, task_losses=task_losses) as r:
        for _ in range(3):
            for _ in range(2):
                r.backward({task: loss.mean() for task, loss in task_losses(model, x).items()})
                optimizer.step()
                optimizer.zero_grad()
            with torch.no_grad():
                r.evaluate("train", {"left": {"loss": 1.0}})
                r.evaluate("test", {"left": {"loss": 1.0}})
            model.eval()
            expected.append(exact(model, task_losses(model, x)["left"].mean()))
            model.train()
    table = Trajectory(path).table("hessian")
    assert table["step"].tolist() == [0, 2, 4, 6]
    assert table["top"][1:, 0] == pytest.approx(expected, rel=1e-3)


def test_on_the_graph_an_epoch_s_number_is_that_of_the_pass_after_its_evaluation(
    path: Path, model: TwoHeads, x: Tensor
) -> None:
    """An evaluation has no graph of a training batch to measure on."""
    probe = probes.HessianTop(every="epoch")
    expected = []
    with recorder(path, model, probe, strict=True) as r:
        for step in range(5):
            if step in (0, 2, 4):
                r.evaluate("test", {"left": {"loss": 1.0}})
            losses = task_losses(model, (step + 1) * x)
            expected.append(exact(model, losses["left"].mean()))
            r.backward({task: loss.mean() for task, loss in losses.items()})
    table = Trajectory(path).table("hessian")
    assert table["step"].tolist() == [0, 2, 4]
    assert table["top"][:, 0] == pytest.approx(expected[::2], rel=1e-3)


def test_a_warm_start_has_the_length_of_what_is_measured(path: Path, model: TwoHeads) -> None:
    """Each layer begins anew, and so do all when one parameter is frozen."""
    x = torch.ones(4, 3, dtype=torch.float64)
    chosen = {"by_layer": True, "warm_start": True}
    with recorder(path, model, probes.HessianTop(1, **chosen), strict=True) as r:
        for step in range(3):
            if step == 2:
                model.trunk[0].bias.requires_grad_(False)
            model.eval()
            losses = task_losses(model, x)
            r.observe({task: loss.mean() for task, loss in losses.items()})
    free = [p for p in model.trunk.parameters() if p.requires_grad]
    gradient = torch.autograd.grad(task_losses(model, x)["left"].mean(), free, create_graph=True)
    rows = [torch.autograd.grad(g, free, retain_graph=True) for g in gradient[0].flatten()]
    frozen = float(torch.linalg.eigvalsh(torch.stack([row[0].flatten() for row in rows]))[-1])
    whole = exact_all(model, x)
    table = Trajectory(path).table("hessian")
    assert table["reason"].tolist() == [["", ""]] * 3
    for column in (table["top"][:, 0], table["layer_top"][:, 0, 0]):
        assert column == pytest.approx([whole, whole, frozen], rel=1e-3)
    assert table["products"][1, 0] < table["products"][0, 0]


def exact_all(model: TwoHeads, x: Tensor) -> float:
    """Top eigenvalue of the first loss with no parameter of the trunk frozen."""
    model.trunk.requires_grad_(True)
    return exact(model, task_losses(model, x)["left"].mean())


@pytest.mark.parametrize("own_generator", [False, True])
def test_shuffled_sample_is_the_same_in_every_run_and_moves_no_generator(
    tmp_path: Path, model: TwoHeads, x: Tensor, own_generator: bool
) -> None:
    identities = []
    for run, (seed, tasks) in enumerate([(0, 2), (0, 1), (1, 2)]):
        torch.manual_seed(run)
        generator = torch.Generator().manual_seed(run) if own_generator else None
        loader = DataLoader(TensorDataset(x), 2, shuffle=True, generator=generator)
        streams = [generator or torch.default_generator, torch.default_generator]
        before = [stream.get_state() for stream in streams]
        path = tmp_path / f"{run}.h5"
        with Recorder(
            path,
            model,
            tasks=["left", "right"][:tasks],
            shared=model.trunk,
            probes=[probes.HessianTop(every="epoch", data=loader, seed=seed)],
            task_losses=lambda model, batch: {"left": task_losses(model, batch[0])["left"]},
        ) as r:
            r.evaluate("train", {"left": {"loss": 1.0}})
        for stream, state in zip(streams, before, strict=True):
            assert torch.equal(stream.get_state(), state)
        attributes = Trajectory(path).table("hessian").attributes
        identities.append(np.atleast_1d(attributes["sample_sha256"])[0])
        assert attributes["sample_seed"] == seed
    assert identities[0] == identities[1] != identities[2]


def test_kernel_without_double_backward_is_nan_and_says_once_what_to_pass(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = nn.ModuleDict({"trunk": nn.Linear(8, 8)})
    flash = SDPBackend.FLASH_ATTENTION
    with recorder(path, model, probes.HessianTop(every=1)) as r:
        for _ in range(2):
            z = model["trunk"](torch.randn(1, 1, 8, 8))
            with sdpa_kernel(flash):
                z = nn.functional.scaled_dot_product_attention(z, z, z)
            r.backward({"left": z.sum(), "right": z.pow(2).sum()})
    table = Trajectory(path).table("hessian")
    assert np.isnan(table["top"]).all()
    assert not table["converged"].any()
    assert all("flash_attention" in reason for reason in table["reason"].ravel())
    assert [record.levelno for record in told(caplog)] == [logging.WARNING]
    assert "HessianTop(data=" in caplog.text


def fused_attention(model: nn.ModuleDict, x: Tensor) -> dict[str, Tensor]:
    z = model["trunk"](x)[:, None]
    z = nn.functional.scaled_dot_product_attention(z, z, z)
    return {"left": z.sin().mean((1, 2, 3)), "right": z.pow(2).mean((1, 2, 3))}


def test_fused_attention_works_on_own_data(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"trunk": nn.Linear(8, 8)})
    x = torch.randn(3, 5, 8)
    losses = {task: loss.mean() for task, loss in fused_attention(model, x).items()}
    assert top_eigenvalue(losses["left"], dict(model["trunk"].named_parameters())).reason
    probe = probes.HessianTop(1, [x[:2], x[2:]], trace_probes=2)
    with recorder(path, model, probe, task_losses=fused_attention) as r:
        r.backward(losses)
    table = Trajectory(path).table("hessian")
    assert table["reason"].tolist() == [["", ""]]
    assert told(caplog) == []
    model.double()
    with sdpa_kernel(SDPBackend.MATH):
        expected = [
            exact(model, loss.mean()) for loss in fused_attention(model, x.double()).values()
        ]
    assert table["top"][0] == pytest.approx(expected, rel=1e-3)


def test_falls_back_to_torch_func_and_says_so_once(
    path: Path, model: TwoHeads, x: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cube = Cube.apply

    def losses(model: TwoHeads, x: Tensor) -> dict[str, Tensor]:
        left, right = model(x)
        return {"left": cube(left).mean(1), "right": right.cosh().mean(1)}

    probe = probes.HessianTop(every=1, data=[x[:7], x[7:]], trace_probes=20, by_layer=True)
    with recorder(path, model, probe, task_losses=losses) as r:
        for _ in range(2):
            r.backward({task: loss.mean() for task, loss in losses(model, x).items()})
    model.eval()
    left, right = model(x)
    expected = [exact(model, left.pow(3).mean()), exact(model, right.cosh().mean())]
    table = Trajectory(path).table("hessian")
    assert table["top"][1] == pytest.approx(expected, rel=1e-3)
    assert np.isfinite(table["trace"]).all()
    messages = [record.message for record in caplog.records if "torch.func" in record.message]
    assert len(messages) == 1
    assert "task left" in messages[0]
    assert "must implement either the backward or vjp" in messages[0]


def test_torch_func_too_takes_attention_apart(path: Path) -> None:
    """Where double backward fails for another reason, the fused kernel must not be what is left."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"trunk": nn.Linear(8, 8)}).double()
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    cube = Cube.apply

    def losses(model: nn.ModuleDict, x: Tensor) -> dict[str, Tensor]:
        z = model["trunk"](x)[:, None]
        z = nn.functional.scaled_dot_product_attention(z, z, z)
        return {"left": cube(z).mean((1, 2, 3)), "right": z.pow(3).mean((1, 2, 3))}

    probe = probes.HessianTop(1, [x[:2], x[2:]], trace_probes=2)
    with recorder(path, model, probe, task_losses=losses) as r:
        r.backward({task: loss.mean() for task, loss in losses(model, x).items()})
    table = Trajectory(path).table("hessian")
    assert table["reason"].tolist() == [["", ""]]
    assert table["top"][0, 0] == pytest.approx(table["top"][0, 1], rel=1e-3)


def test_density_of_fused_attention(path: Path) -> None:
    model = nn.ModuleDict({"trunk": nn.Linear(8, 8)})
    x = torch.randn(3, 5, 8)
    probe = probes.HessianDensity(1, [x], runs=2, nodes=4)
    with recorder(path, model, probe, task_losses=fused_attention) as r:
        r.backward({task: loss.mean() for task, loss in fused_attention(model, x).items()})
    table = Trajectory(path).table("hessian_density")
    assert table["reason"].tolist() == [["", ""]]
    assert np.isfinite(table["eigenvalue"]).all()


def test_own_data_needs_task_losses_and_probes_their_own_table(path: Path, model: TwoHeads) -> None:
    with pytest.raises(TrajlabError, match="pass task_losses=fn"):
        recorder(path, model, probes.HessianTop(data=[]))
    with pytest.raises(TrajlabError, match="two HessianTop probes"):
        Recorder(path, model, tasks=["a"], probes=[probes.HessianTop(), probes.HessianTop()])
    assert not path.exists()


@pytest.mark.parametrize(
    ("data", "fn", "sentence"),
    [
        ([], task_losses, "holds no batch"),
        ({"middle": [1]}, task_losses, "'middle', which is not declared"),
        ([1], lambda m, b: {"left": torch.tensor(1.0)}, "per-example losses"),
        ([1], lambda m, b: {"middle": torch.ones(2)}, "for the tasks left, right"),
    ],
)
def test_wrong_data_is_one_sentence(
    path: Path, model: TwoHeads, data: Any, fn: Any, sentence: str
) -> None:
    probe = probes.HessianTop("epoch", data=data)
    with (
        pytest.raises(TrajlabError, match=sentence),
        recorder(path, model, probe, task_losses=fn, strict=True) as r,
    ):
        r.evaluate("train", {"left": {"loss": 1.0}})
