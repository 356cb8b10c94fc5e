"""The top eigenvalue against exact Hessians of small networks in float64."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, hessian

from tests.models import Cube
from trajlab.measure import top_eigenvalue

# torch.func.hessian uses it itself
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

Loss = Callable[[Tensor], Tensor]


def spectrum(model: nn.Module, x: Tensor, loss: Loss, parameters: dict[str, Tensor]) -> Tensor:
    """Eigenvalues of the exact Hessian, ascending."""
    point = {name: p.detach() for name, p in parameters.items()}
    blocks = hessian(lambda p: loss(functional_call(model, p, (x,))))(point)
    rows = [
        torch.cat([blocks[a][b].reshape(point[a].numel(), -1) for b in point], dim=1) for a in point
    ]
    return torch.linalg.eigvalsh(torch.cat(rows))


def tanh_mlp(seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    """The 43-parameter network 4-5-3, with a batch."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    assert sum(p.numel() for p in model.parameters()) == 43
    return model, torch.randn(20, 4).double(), torch.randint(0, 3, (20,))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("which", ["cross-entropy", "indefinite", "concave"])
def test_agrees_with_the_exact_hessian(seed: int, which: str) -> None:
    model, x, y = tanh_mlp(seed)
    loss: Loss = {
        "cross-entropy": lambda out: nn.functional.cross_entropy(out, y),
        "indefinite": lambda out: out[:, 0].pow(2).mean() - 1.01 * out[:, 1].pow(2).mean(),
        "concave": lambda out: -out.sin().sum(1).pow(2).mean(),
    }[which]
    parameters = dict(model.named_parameters())
    exact = spectrum(model, x, loss, parameters)
    found = top_eigenvalue(loss(model(x)), parameters, seed=seed)
    assert found.converged
    assert found.reason == ""
    assert found.value == pytest.approx(exact[-1].item(), rel=1e-3)
    assert (exact - found.value).abs().min() <= found.residual + 1e-12
    if found.bottom == found.bottom:
        assert abs(found.bottom - exact[0].item()) <= 1e-3 * exact.abs().max()
    both = top_eigenvalue(loss(model(x)), parameters, seed=seed, both_ends=True)
    assert both.value == pytest.approx(exact[-1].item(), rel=1e-3)
    assert abs(both.bottom - exact[0].item()) <= 1e-3 * exact.abs().max()
    to_the_end = top_eigenvalue(loss(model(x)), parameters, tolerance=0.0)
    assert to_the_end.value == pytest.approx(exact[-1].item(), rel=1e-9)
    assert to_the_end.products <= 43


def test_float32_model_is_close() -> None:
    model, x, y = tanh_mlp(1)
    loss: Loss = lambda out: nn.functional.cross_entropy(out, y)  # noqa: E731
    exact = spectrum(model, x, loss, dict(model.named_parameters()))[-1].item()
    model.float()
    found = top_eigenvalue(loss(model(x.float())), dict(model.named_parameters()))
    assert found.value == pytest.approx(exact, rel=1.1e-3)


def test_only_the_given_parameters_count() -> None:
    model, x, y = tanh_mlp(2)
    loss: Loss = lambda out: nn.functional.cross_entropy(out, y)  # noqa: E731
    parameters = {n: p for n, p in model.named_parameters() if n.startswith("0")}
    exact = spectrum(model, x, loss, parameters)
    found = top_eigenvalue(loss(model(x)), parameters, tolerance=0.0)
    assert found.value == pytest.approx(exact[-1].item(), rel=1e-9)


def test_linear_and_unreached_parameters_have_no_curvature() -> None:
    curved, linear, unreached, frozen = (
        nn.Parameter(torch.randn(3, dtype=torch.float64)) for _ in range(4)
    )
    frozen.requires_grad_(False)
    loss = 3 * curved.pow(2).sum() + linear.sum() + frozen.sum()
    parameters = {"c.w": curved, "l.w": linear, "u.w": unreached, "f.w": frozen}
    found = top_eigenvalue(loss, parameters)
    assert found.value == pytest.approx(6.0)
    assert found.bottom == pytest.approx(0.0, abs=1e-12)
    assert top_eigenvalue(linear.sum(), parameters).value == 0.0
    assert top_eigenvalue(torch.tensor(1.0), parameters).value == 0.0


def test_gradient_among_the_top_eigenvectors_saves_products() -> None:
    curvature = torch.linspace(-1, 1.2, 200, dtype=torch.float64)

    def find(point: Tensor) -> tuple[float, int]:
        w = nn.Parameter(point)
        found = top_eigenvalue((0.5 * curvature * w**2).sum(), {"w": w})
        assert found.converged
        return found.value, found.products

    along_top = torch.zeros(200, dtype=torch.float64)
    along_top[-1] = 1e-6  # its size does not matter
    value, products = find(along_top)
    without = find(torch.zeros(200, dtype=torch.float64))
    assert value == pytest.approx(1.2, rel=1e-3)
    assert without[0] == pytest.approx(1.2, rel=1e-3)
    assert products < 0.7 * without[1]


def test_both_ends_of_a_loss_that_depends_on_no_parameter_are_zero() -> None:
    w, other = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    for loss in (torch.tensor(2.0), other.pow(2).sum()):
        found = top_eigenvalue(loss, {"w": w})
        assert (found.value, found.bottom, found.residual) == (0, 0, 0)
        assert found.converged
        assert not found.reason


class ForgetsItsNorm(torch.autograd.Function):
    """w / |w|, whose backward takes |w| for a constant, as weight_norm of torch 2.13 does."""

    @staticmethod
    def forward(context: Any, w: Tensor) -> Tensor:
        context.save_for_backward(w)
        context.norm = w.norm().item()
        return w / context.norm

    @staticmethod
    def backward(context: Any, slope: Tensor) -> Tensor:
        (w,) = context.saved_tensors
        unit = w / context.norm
        return (slope - unit * (unit * slope).sum()) / context.norm


def test_wrong_second_derivatives_are_not_trusted() -> None:
    torch.manual_seed(0)
    scale = torch.rand(30, dtype=torch.float64)
    w = nn.Parameter(torch.randn(30, dtype=torch.float64))
    right = top_eigenvalue((scale * (w / w.norm()) ** 3).sum(), {"w": w})
    assert right.converged
    wrong = top_eigenvalue((scale * ForgetsItsNorm.apply(w) ** 3).sum(), {"w": w})
    assert not wrong.converged
    assert "not symmetric" in wrong.reason
    assert wrong.residual > 1e-3 * wrong.value
    assert wrong.bottom != wrong.bottom


class OnceDifferentiable(Cube):
    """The cube, as kernels written by hand are: torch silently takes its Hessian for zero."""

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, slope: Tensor) -> Tensor:
        return 3 * context.saved_tensors[0] ** 2 * slope


@pytest.mark.parametrize("as_function", [False, True])
def test_once_differentiable_is_a_reason(as_function: bool) -> None:
    w = nn.Parameter(torch.randn(5))

    def loss(parameters: Mapping[str, Tensor]) -> Tensor:
        return OnceDifferentiable.apply(parameters["w"].tanh()).sin().sum()

    found = top_eigenvalue(loss if as_function else loss({"w": w}), {"w": w})
    assert found.value != found.value
    assert "marked once_differentiable" in found.reason
    assert w.grad is None


def test_operation_without_double_backward_is_nan_with_the_reason() -> None:
    q = nn.Parameter(torch.randn(1, 1, 8, 8))
    attention = nn.functional.scaled_dot_product_attention
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
        loss = attention(q, q, q).pow(2).sum()
    found = top_eigenvalue(loss, {"q": q})
    assert found.value != found.value
    assert not found.converged
    assert "flash_attention" in found.reason
    assert "\n" not in found.reason
    loss.backward()  # the graph is still good
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert top_eigenvalue(attention(q, q, q).pow(2).sum(), {"q": q}).converged


def test_loss_that_is_not_finite_is_nan_with_the_reason() -> None:
    model, x, y = tanh_mlp(0)
    loss = nn.functional.cross_entropy(model(x), y) * torch.nan
    found = top_eigenvalue(loss, dict(model.named_parameters()))
    assert found.value != found.value
    assert "not finite" in found.reason


def test_same_seed_same_number_and_no_global_draw() -> None:
    model, x, y = tanh_mlp(0)
    loss = nn.functional.cross_entropy(model(x), y)
    state = torch.get_rng_state()
    found = [top_eigenvalue(loss, dict(model.named_parameters()), seed=s) for s in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert found[0] == found[1] != found[2]
    assert all(p.grad is None for p in model.parameters())
