"""Trace, density and both backends against the exact Hessian in float64."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from trajlab.errors import TrajlabError
from trajlab.measure import spectral_density, top_eigenvalue
from trajlab.measure.curvature.product import HessianProduct
from trajlab.measure.curvature.trace import hessian_trace

# torch.func uses it itself
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

Problem = tuple[Tensor, Callable[[Mapping[str, Tensor]], Tensor], dict[str, nn.Parameter], Tensor]


@pytest.fixture
def problem() -> Problem:
    """Loss, the loss as a function, parameters, and the exact Hessian of a 43-parameter network."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = 3 * torch.randn(20, 4).double(), torch.randint(0, 3, (20,))
    parameters = dict(model.named_parameters())

    def function(p: Mapping[str, Tensor]) -> Tensor:
        return cross_entropy(functional_call(model, dict(p), (x,)), y)

    loss = cross_entropy(model(x), y)
    gradient = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
    rows = [
        torch.cat(
            [
                g.flatten()
                for g in torch.autograd.grad(entry, list(parameters.values()), retain_graph=True)
            ]
        )
        for entry in torch.cat([g.flatten() for g in gradient])
    ]
    return loss, function, parameters, torch.stack(rows)


@pytest.mark.parametrize("backend", [0, 1], ids=["graph", "torch.func"])
def test_both_backends_give_the_exact_product(problem: Problem, backend: int) -> None:
    parameters, exact = problem[2:]
    product = HessianProduct(problem[backend], parameters)  # type: ignore[arg-type]
    vector = product.random(3)
    assert torch.allclose(product(vector), exact @ vector, rtol=1e-10)
    assert product.used == 1
    found = top_eigenvalue(problem[backend], parameters, tolerance=0.0)  # type: ignore[arg-type]
    assert found.value == pytest.approx(torch.linalg.eigvalsh(exact)[-1].item(), rel=1e-9)


def test_vector_is_the_eigenvector_and_a_warm_start_needs_no_search(problem: Problem) -> None:
    loss, _, parameters, exact = problem
    found = top_eigenvalue(loss, parameters, tolerance=1e-8)
    assert found.vector is not None
    assert torch.linalg.vector_norm(exact @ found.vector - found.value * found.vector) < 1e-6
    again = top_eigenvalue(loss, parameters, start=found.vector, limit=1)
    assert again.value == pytest.approx(found.value, rel=1e-9)


@pytest.mark.parametrize("deflated", [False, True])
def test_trace_is_unbiased_and_its_error_covers(problem: Problem, deflated: bool) -> None:
    loss, _, parameters, exact = problem
    truth = exact.trace().item()
    krylov = top_eigenvalue(loss, parameters, limit=10).krylov if deflated else None
    found = [
        hessian_trace(loss, parameters, probes=8, krylov=krylov, seed=seed) for seed in range(150)
    ]
    values = torch.tensor([f.value for f in found])
    errors = torch.tensor([f.se for f in found])
    assert abs(values.mean() - truth) < 4 * values.std() / 150**0.5
    assert 0.87 < ((values - truth).abs() < 2.36 * errors).double().mean() <= 1  # t, 7 degrees
    assert errors.median() < 1.3 * values.std()
    assert all(f.products == 8 for f in found)


def test_deflation_lowers_the_error(problem: Problem) -> None:
    loss, _, parameters, _ = problem
    krylov = top_eigenvalue(loss, parameters).krylov
    plain, deflated = (
        sum(hessian_trace(loss, parameters, krylov=k, seed=s).se for s in range(20))
        for k in (None, krylov)
    )
    assert deflated < 0.7 * plain


def test_trace_of_the_whole_space_is_exact(problem: Problem) -> None:
    loss, _, parameters, exact = problem
    krylov = top_eigenvalue(loss, parameters, tolerance=0.0, limit=43).krylov
    found = hessian_trace(loss, parameters, krylov=krylov)
    assert found.value == pytest.approx(exact.trace().item(), rel=1e-8)


def test_too_few_probes_and_constant_losses(problem: Problem) -> None:
    loss, _, parameters, _ = problem
    with pytest.raises(TrajlabError, match="has no standard error; use 2 or more"):
        hessian_trace(loss, parameters, probes=1)
    assert hessian_trace(torch.tensor(1.0), parameters).value == 0.0


def test_density_has_the_moments_of_the_spectrum(problem: Problem) -> None:
    loss, _, parameters, exact = problem
    eigenvalues = torch.linalg.eigvalsh(exact)
    found = spectral_density(loss, parameters, runs=100, nodes=8)
    assert found.products == 800
    assert torch.allclose(found.weights.sum(1), torch.ones(100).double())
    for power in (1, 2, 5):
        moments = (found.weights * found.values**power).sum(1)
        error = moments.std() / 100**0.5
        assert abs(moments.mean() - eigenvalues.pow(power).mean()) < 4 * error
    assert found.values.max() <= eigenvalues.max() + 1e-9
    assert found.values.min() >= eigenvalues.min() - 1e-9


def test_density_of_an_exhausted_space_ends_early() -> None:
    w = nn.Parameter(torch.ones(6, dtype=torch.float64))
    scale = torch.tensor([1.0, 1.0, 1.0, 4.0, 4.0, 4.0]).double()
    found = spectral_density((0.5 * scale * w**2).sum(), {"w": w}, runs=2, nodes=5)
    assert found.values[:, :2] == pytest.approx(torch.tensor([[1.0, 4.0]] * 2).double())
    assert found.values[:, 2:].isnan().all()
    assert torch.allclose(found.weights.sum(1), torch.ones(2).double())
