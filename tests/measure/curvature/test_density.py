"""The spectral density against exact spectra."""

import pytest
import torch
from torch import nn

from tests.measure.curvature.conftest import Problem
from trajlab.measure import spectral_density

# torch.func uses it itself
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


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


def test_each_run_has_a_start_of_its_own_and_a_seed_gives_them_again(problem: Problem) -> None:
    loss, _, parameters, _ = problem
    found = spectral_density(loss, parameters, nodes=3, seed=7)
    assert found.values.shape == found.weights.shape == (4, 3)
    assert len(set(map(tuple, found.values.tolist()))) == 4
    again = spectral_density(loss, parameters, runs=2, nodes=3, seed=7)
    torch.testing.assert_close(again.values, found.values[:2], rtol=0, atol=0)
    other = spectral_density(loss, parameters, runs=2, nodes=3, seed=8)
    torch.testing.assert_close(other.values[0], found.values[1], rtol=0, atol=0)
    whole = spectral_density(loss, parameters, runs=1)
    assert whole.values.shape == (1, 30)
