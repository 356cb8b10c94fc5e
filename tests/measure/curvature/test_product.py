"""Products with Hessians, by both backends."""

import pytest
import torch
from torch import nn

from tests.measure.curvature.conftest import Problem
from trajlab.measure import top_eigenvalue
from trajlab.measure.curvature.product import HessianProduct

# torch.func uses it itself
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


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


@pytest.mark.parametrize(
    ("weights", "vectors"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),  # in whose 8 bits a search for eigenvectors would stall
        (torch.float16, torch.float32),
    ],
)
def test_vectors_are_at_least_of_single_precision(
    weights: torch.dtype, vectors: torch.dtype
) -> None:
    w = nn.Parameter(torch.tensor([1.0, 2.0], dtype=weights))
    product = HessianProduct(w.pow(3).sum(), {"w": w})
    assert product.random(0).dtype == vectors
    image = product(torch.tensor([1.0, -1.0], dtype=vectors))
    assert image.dtype == vectors
    assert image.tolist() == [6.0, -12.0]
