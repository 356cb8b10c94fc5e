"""Gradients of single examples as recorded: right on any model, or NaN with the reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.example_zoo import build, squared_norms
from trajlab import Recorder, probes
from trajlab.measure.examples import norms as module
from trajlab.store import Trajectory

# a few of each kind; tests/measure/examples/test_zoo.py tries all
RECORDED = [
    "conv transposed 2d, size given",
    "embedding clipped",
    "embedding sparse",
    "forces",
    "frames of clips in the batch axis",
    "gru with a state",
    "gradient penalty",
    "hook that doubles the output",
    "messages along edges",
    "optional tensor",
    "statistics of groups",
    "tied embedding",
]


def record(path: Path, model: nn.Module, losses: Any, probe: probes.Probe, steps: int = 1) -> Any:
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    with Recorder(
        path,
        model,
        tasks=["a"],
        shared=model,
        optimizer=optimizer,
        probes=[probe],
        task_losses=lambda m, _: {"a": losses(m)},
    ) as recorder:
        for _ in range(steps):
            recorder.backward({"a": losses(model).mean()})
            optimizer.step()
            optimizer.zero_grad()
    return Trajectory(path).table("noise")


@pytest.mark.parametrize("name", RECORDED)
def test_noise_is_exact_and_training_bit_identical(tmp_path: Path, name: str) -> None:
    model, losses = build(name)
    plain, plain_losses = build(name)
    rows = losses(model)
    wanted = [p for p in model.parameters() if p.requires_grad]
    mean = torch.autograd.grad(rows.mean(), wanted, retain_graph=True, materialize_grads=True)
    norm_sq = sum(g.to_dense().square().sum() for g in mean).item()
    trace = squared_norms(rows, model).mean().item() - norm_sq
    table = record(tmp_path / "run.h5", model, losses, probes.GradientNoise(1, [0]), steps=2)
    assert table["covariance_trace"][0, 0] == pytest.approx(trace, rel=1e-10)
    assert table["reason"][0, 0] == ""
    optimizer = torch.optim.SGD(plain.parameters(), 0.05)
    plain_losses(plain)  # as above: a forward pass may clip rows of a table
    for _ in range(2):
        plain_losses(plain).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_table_says_what_was_checked_and_differentiated_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, losses = build("tied to a function")
    model.further = nn.Linear(5, 5).double()

    def both(m: nn.Module) -> Tensor:
        return losses(m) + m.further(torch.linspace(-1, 1, 30).view(6, 5).double()).cos().sum(1)

    table = record(tmp_path / "right.h5", model, both, probes.GradientNoise(1, [0]), steps=3)
    assert table.attributes["checked_gradients"] == 3  # of three steps, at the first
    assert list(table.attributes["example_by_example"]) == ["a.bias", "a.weight"]
    assert list(table.attributes["formula_was_wrong"]) == []
    right = module.layer_norms
    monkeypatch.setattr(module, "layer_norms", lambda *given: 0.5 * right(*given))
    wrong = record(
        tmp_path / "wrong.h5", build("linear")[0], build("linear")[1], probes.GradientNoise(1, [0])
    )
    assert set(wrong.attributes["formula_was_wrong"]) == {
        "0.bias",
        "0.weight",
        "2.bias",
        "2.weight",
    }


@pytest.mark.parametrize("factor", [0.0, 0.5])
def test_impossible_trace_is_never_a_number(
    tmp_path: Path, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, losses = build("linear")
    noise = "trajlab.record.probes.noise.sample_norms"
    monkeypatch.setattr(
        noise, lambda rows, *_, **__: factor * squared_norms(rows, model).min().expand(6)
    )
    table = record(tmp_path / "run.h5", model, losses, probes.GradientNoise(1, [0]))
    assert np.isnan(table["covariance_trace"][0, 0])
    assert np.isnan(table["noise_scale"][0, 0])
    assert "impossible" in table["reason"][0, 0]


def test_examples_that_are_all_alike_do_not_scatter(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    x = torch.randn(1, 3).expand(7, 3)
    table = record(
        tmp_path / "run.h5", model, lambda m: m(x).square().sum(1), probes.GradientNoise(1, [0])
    )
    assert 0 <= table["covariance_trace"][0, 0] < 1e-5 * table["gradient_norm_sq"][0, 0]


def test_complex_weights_are_measured_whole_or_refused(tmp_path: Path) -> None:
    model, losses = build("complex weights")

    def both(m: nn.Module, _: Any = None) -> dict[str, Tensor]:
        return {"a": losses(m), "b": losses(m).square()}

    wanted = list(model.parameters())
    gradients = []
    for loss in both(model).values():
        parts = torch.autograd.grad(loss.mean(), wanted, retain_graph=True)
        real = [torch.view_as_real(g) if g.is_complex() else g for g in parts]
        gradients.append(torch.cat([g.flatten() for g in real]))
    gram = torch.stack(gradients) @ torch.stack(gradients).T
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    start = [p.detach().clone() for p in wanted]
    refused = {
        "similarity": probes.GradientSimilarity(1, [0, 1, 2]),
        "hessian": probes.HessianTop(1),
        "hessian_density": probes.HessianDensity(1, [0], runs=1, nodes=2),
        "sharpness": probes.Sharpness(1, [0]),
        "affinity": probes.TaskAffinity(1, [0]),
        "sketches": probes.GradientSketch(1, size=8),
    }
    measured = [
        probes.TaskGradients(1),
        probes.GradientNoise(1, [0]),
        probes.Parameters(1),
    ]
    with Recorder(
        tmp_path / "run.h5",
        model,
        tasks=["a", "b"],
        shared=model,
        optimizer=optimizer,
        probes=[*measured, *refused.values()],
        task_losses=both,
    ) as recorder:
        for _ in range(2):
            recorder.backward({task: loss.mean() for task, loss in both(model).items()})
            optimizer.step()
            optimizer.zero_grad()
            if recorder.step == 1:
                moved = sum(
                    (p.detach() - s).abs().square().sum()
                    for p, s in zip(wanted, start, strict=True)
                )
    run = Trajectory(tmp_path / "run.h5")
    assert np.allclose(run.gram()[0], gram, rtol=1e-10)
    assert np.allclose(run.table("noise")["gradient_norm_sq"][0], gram.diagonal(), rtol=1e-10)
    assert run.table("parameters")["distance_from_start"][1] == pytest.approx(moved.sqrt().item())
    for name in refused:
        assert all("s.w is complex" in reason for reason in np.ravel(run.table(name)["reason"]))
