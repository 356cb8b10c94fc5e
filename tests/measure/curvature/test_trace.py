"""The trace against the exact Hessian in float64."""

import pytest
import torch
from torch import nn

from tests.measure.curvature.conftest import Problem
from trajlab.errors import TrajlabError
from trajlab.measure import top_eigenvalue
from trajlab.measure.curvature.trace import hessian_trace

# torch.func uses it itself
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


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


@pytest.mark.parametrize("probes", [2, 5])
def test_error_is_that_of_the_mean_of_few_probes(probes: int) -> None:
    # vᵀ H v = 2 v_1 v_2 for H = [[0, 1], [1, 0]]: each probe says 2 or -2
    w = nn.Parameter(torch.ones(2, dtype=torch.float64))
    errors = set()
    for seed in range(20):
        found = hessian_trace(w.prod(), {"w": w}, probes=probes, seed=seed)
        share = found.value / 4 + 0.5  # of probes that said 2
        variance = 16 * share * (1 - share) * probes / (probes - 1)
        assert found.se == pytest.approx((variance / probes) ** 0.5, abs=1e-12)
        errors.add(round(found.se, 9))
    assert len(errors) > 1


def test_too_few_probes_and_constant_losses(problem: Problem) -> None:
    loss, _, parameters, _ = problem
    with pytest.raises(TrajlabError, match="has no standard error; use 2 or more"):
        hessian_trace(loss, parameters, probes=1)
    assert hessian_trace(torch.tensor(1.0), parameters).value == 0.0


def test_twelve_probes_are_drawn_by_the_seed(problem: Problem) -> None:
    loss, _, parameters, _ = problem
    found = hessian_trace(loss, parameters)
    assert found.products == 12
    assert found == hessian_trace(loss, parameters, probes=12, seed=0)
    assert found.value != hessian_trace(loss, parameters, seed=1).value
