"""Where PyHessian 0.1 fails or is silently wrong: each works here, or is one clear sentence."""

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from trajlab import Recorder, probes
from trajlab.measure import guard, spectral_density, top_eigenvalue
from trajlab.measure.curvature.trace import hessian_trace
from trajlab.store import Trajectory


def network() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    return model, torch.randn(20, 4).double(), torch.randint(0, 3, (20,))


def test_unused_and_frozen_parameters_and_those_that_enter_linearly() -> None:
    model, x, y = network()
    model.unused = nn.Linear(2, 2).double()
    parameters = dict(model.named_parameters())
    loss = cross_entropy(model[:3](x), y)
    whole = top_eigenvalue(loss, parameters, tolerance=0.0, limit=60)
    used = {name: p for name, p in parameters.items() if "unused" not in name}
    assert whole.value == pytest.approx(top_eigenvalue(loss, used, tolerance=0.0).value)
    model[0].requires_grad_(False)
    frozen = top_eigenvalue(cross_entropy(model[:3](x), y), parameters, tolerance=0.0)
    assert 0 < frozen.value < whole.value
    linear = nn.Linear(4, 1).double()
    assert top_eigenvalue(linear(x).mean(), dict(linear.named_parameters())).value == 0.0


def test_sparse_embedding() -> None:
    index = torch.tensor([0, 2, 2, 1])
    values = []
    for sparse in (False, True):
        torch.manual_seed(0)
        layer = nn.Embedding(3, 2, sparse=sparse)
        loss = layer(index).pow(4).sum()
        values.append(top_eigenvalue(loss, {"w": layer.weight}))
    assert values[1].reason == ""
    assert values[1].value == pytest.approx(values[0].value, rel=1e-6)


def test_fused_attention_is_one_sentence_and_works_with_the_math_kernel() -> None:
    q = nn.Parameter(torch.randn(1, 1, 8, 8))
    attention = nn.functional.scaled_dot_product_attention
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        fused = top_eigenvalue(attention(q, q, q).pow(2).sum(), {"q": q})
    assert fused.reason
    assert "\n" not in fused.reason
    with sdpa_kernel(SDPBackend.MATH):
        assert top_eigenvalue(attention(q, q, q).pow(2).sum(), {"q": q}).converged


def test_trace_that_is_negative_and_density_on_a_present_torch() -> None:
    w = nn.Parameter(torch.ones(50, dtype=torch.float64))
    curvature = torch.linspace(-2, 1, 50).double()
    loss = (0.5 * curvature * w**2).sum()
    found = hessian_trace(loss, {"w": w}, probes=12)
    assert found.products == 12  # PyHessian stops after two
    assert found.value == pytest.approx(curvature.sum().item())
    assert spectral_density(loss, {"w": w}).values.isfinite().all()


def test_top_is_the_largest_not_the_largest_in_magnitude() -> None:
    w = nn.Parameter(torch.ones(30, dtype=torch.float64))
    curvature = torch.cat([torch.tensor([10.0, -10.01]), torch.linspace(-5, 5, 28)]).double()
    found = top_eigenvalue((0.5 * curvature * w**2).sum(), {"w": w})
    assert found.converged
    assert found.value == pytest.approx(10.0, rel=1e-3)
    assert found.bottom == pytest.approx(-10.01, rel=1e-3)


def test_second_measurement_with_gradients_present_is_the_same() -> None:
    model, x, y = network()
    parameters = dict(model.named_parameters())
    found = []
    for _ in range(3):
        with guard(model):
            found.append(top_eigenvalue(cross_entropy(model(x), y), parameters).value)
        cross_entropy(model(x), y).backward()  # leaves gradients, as training does
    assert found[0] == found[1] == found[2]
    assert all(p.grad is not None for p in parameters.values())


def test_no_graph_is_left_over_after_200_measurements() -> None:
    model, x, y = network()
    parameters = dict(model.named_parameters())

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(o), Tensor) for o in gc.get_objects())

    for count in (5, 200):
        for _ in range(count):
            with guard(model):
                top_eigenvalue(cross_entropy(model(x), y), parameters, limit=2)
        if count == 5:
            before = tensors()
    assert tensors() <= before + 5


def test_autocast_of_the_training_loop_is_off_in_a_measurement() -> None:
    model, x, y = network()
    model.float()
    exact = top_eigenvalue(cross_entropy(model(x.float()), y), dict(model.named_parameters()))
    with torch.autocast("cpu", torch.bfloat16), guard(model):
        loss = cross_entropy(model(x.float()), y)
        assert top_eigenvalue(loss, dict(model.named_parameters())).value == exact.value


def test_nan_weights_are_a_reason() -> None:
    model, x, y = network()
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    found = top_eigenvalue(cross_entropy(model(x), y), dict(model.named_parameters()))
    assert found.value != found.value
    assert found.reason == "the loss or a derivative of it is not finite"


def record(tmp_path: Path, data: Any, task_losses: Any, model: nn.Module | None = None) -> Any:
    model = model or network()[0]
    probe = probes.HessianTop(1, data, trace_probes=12, by_layer=True)
    parameters = [p for p in model.parameters() if p.requires_grad]
    with Recorder(
        tmp_path / "run.h5",
        model,
        tasks=["one"],
        shared=parameters,
        probes=[probe],
        task_losses=task_losses,
    ) as recorder:
        recorder.backward({"one": model(torch.ones(2, 4).double()).pow(2).mean()})
    return Trajectory(tmp_path / "run.h5").table("hessian")


def test_class_weights_ignored_targets_and_dictionary_batches(tmp_path: Path) -> None:
    model, x, y = network()
    y[::3] = -100
    weight = torch.tensor([1.0, 5.0, 2.0]).double()

    def task_losses(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Any]:
        y = batch["y"]
        sums = cross_entropy(model(batch["x"]), y, weight, reduction="none")
        return {"one": (sums, weight[y.clamp(min=0)] * (y >= 0))}

    data = [{"x": x[:13], "y": y[:13]}, {"x": x[13:], "y": y[13:]}]
    table = record(tmp_path, data, task_losses)
    loss = cross_entropy(model(x), y, weight)  # divides by the weights of the valid targets
    parameters = dict(model.named_parameters())
    assert table["top"][0, 0] == pytest.approx(top_eigenvalue(loss, parameters).value, rel=1e-9)
    blocks = [{n: p for n, p in parameters.items() if n[0] == layer} for layer in "02"]
    expected = [top_eigenvalue(loss, block).value for block in blocks]
    assert table["layer_top"][0, 0] == pytest.approx(expected, rel=1e-9)
    assert table["layer"].tolist() == ["0", "2"]
    exact = hessian_trace(loss, parameters, probes=400)
    error = np.hypot(table["trace_se"][0, 0], exact.se)
    assert abs(table["trace"][0, 0] - exact.value) < 4 * error


def test_sum_reduction_is_the_sum(tmp_path: Path) -> None:
    model, x, y = network()

    def task_losses(model: nn.Module, batch: Tensor) -> dict[str, Any]:
        losses = cross_entropy(model(x[batch]), y[batch], reduction="none")
        return {"one": (losses, torch.ones_like(losses) / 20)}  # denominators that add to 1

    table = record(tmp_path, [torch.arange(15), torch.arange(15, 20)], task_losses)
    loss = cross_entropy(model(x), y, reduction="sum")
    expected = top_eigenvalue(loss, dict(model.named_parameters())).value
    assert table["top"][0, 0] == pytest.approx(expected, rel=1e-9)


def test_compiled_model_is_measured_uncompiled(tmp_path: Path) -> None:
    model, x, _ = network()
    losses = lambda m, x: {"one": m(x).pow(2).sum(1)}  # noqa: E731
    table = record(tmp_path, [x], losses, torch.compile(model, backend="eager"))
    expected = top_eigenvalue(losses(model, x)["one"].mean(), dict(model.named_parameters()))
    assert table["top"][0, 0] == pytest.approx(expected.value, rel=1e-9)


def test_distributed_wrapper(tmp_path: Path) -> None:
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        model, x, _ = network()
        losses = lambda m, x: {"one": m(x).pow(2).sum(1)}  # noqa: E731
        wrapped = nn.parallel.DistributedDataParallel(model)
        table = record(tmp_path, [x], losses, wrapped)
        expected = top_eigenvalue(losses(model, x)["one"].mean(), dict(model.named_parameters()))
        assert table["reason"].tolist() == [[""]]
        assert table["top"][0, 0] == pytest.approx(expected.value, rel=1e-9)
    finally:
        torch.distributed.destroy_process_group()
