"""Gradient noise against exact moments and by simulation."""

import numpy as np
import pytest
import torch

from trajlab.errors import TrajlabError
from trajlab.measure.examples.noise import NoiseOverBatches, gradient_noise


def population(n: int = 96, p: int = 5) -> tuple[np.ndarray, float, float]:
    gradients = np.random.default_rng(0).normal([1, 0, -2, 0.5, 0], [1, 3, 0.2, 1, 2], (n, p))
    mean = gradients.mean(0)
    return gradients, float(((gradients - mean) ** 2).sum(1).mean()), float((mean**2).sum())


def test_exact_from_per_example_norms_of_the_whole_population() -> None:
    gradients, trace, norm_sq = population()
    found = gradient_noise(
        float((gradients**2).sum(1).mean()), 1, norm_sq, len(gradients), population=len(gradients)
    )
    assert found.covariance_trace == pytest.approx(trace, rel=1e-12)
    assert found.gradient_norm_sq == pytest.approx(norm_sq, rel=1e-12)
    assert found.noise_scale == pytest.approx(trace / norm_sq, rel=1e-12)


@pytest.mark.parametrize(("size", "batches"), [(1, 12), (4, 6), (8, 12)])
def test_unbiased_for_batches_drawn_without_replacement(size: int, batches: int) -> None:
    gradients, trace, norm_sq = population()
    rng = np.random.default_rng(1)
    found = []
    for _ in range(2000):
        means = rng.permutation(gradients)[: size * batches].reshape(batches, size, -1).mean(1)
        small, large = (means**2).sum(1).mean(), (means.mean(0) ** 2).sum()
        noise = gradient_noise(small, size, large, size * batches, population=len(gradients))
        found.append((noise.covariance_trace, noise.gradient_norm_sq))
    error = np.std(found, axis=0) / len(found) ** 0.5
    assert (np.abs(np.mean(found, axis=0) - (trace, norm_sq)) < 4 * error + 1e-9).all()


def test_infinite_population_has_no_correction() -> None:
    found = gradient_noise(6.0, 1, 2.0, 5)
    assert found.covariance_trace == pytest.approx(5.0)  # (6 - 2) / (1 - 1/5)
    assert found.gradient_norm_sq == pytest.approx(1.0)


def test_negative_estimates_are_kept_and_have_no_scale() -> None:
    found = gradient_noise(10.0, 1, 1.0, 2)
    assert found.gradient_norm_sq == pytest.approx(-8.0)
    assert np.isnan(found.noise_scale)


@pytest.mark.parametrize("exact", [True, False])
def test_standard_errors_cover_the_population(exact: bool) -> None:
    mean = torch.tensor([0.5, 0, -1, 0.2, 0]).double()
    scale = torch.tensor([1, 2, 0.2, 1, 1]).double()
    truth = torch.tensor([scale.square().sum(), mean.square().sum(), 0]).double()
    truth[2] = truth[0] / truth[1]
    generator = torch.Generator().manual_seed(0)
    values, errors = [], []
    for _ in range(300):
        batches = NoiseOverBatches()
        for size in (16,) * 25 + (9,) * exact:
            rows = mean + scale * torch.randn(size, 5, generator=generator).double()
            if exact:
                batches.add(rows.square().sum(1), rows.sum(0), size)
            else:
                batches.add(rows.mean(0).square().sum()[None], rows.mean(0), 1.0)
        value, se = batches.result(size=1 if exact else 16, population=None if exact else np.inf)
        values.append([value.covariance_trace, value.gradient_norm_sq, value.noise_scale])
        errors.append([se.covariance_trace, se.gradient_norm_sq, se.noise_scale])
    table, error = torch.tensor(values).double(), torch.tensor(errors).double()
    covered = ((table - truth).abs() < 2.26 * error).double().mean(0)  # t, 9 degrees of freedom
    assert covered.min() > 0.89
    assert (error.median(0).values < 1.3 * table.std(0)).all()  # and not because it is too large


def test_too_few_batches_have_no_standard_error() -> None:
    batches = NoiseOverBatches()
    for _ in range(2):
        batches.add(torch.ones(1).double(), torch.ones(3), 1.0)
    assert np.isnan(batches.result(size=8, population=np.inf)[1].covariance_trace)


@pytest.mark.parametrize("sizes", [(0, 4, 9), (4, 4, 9), (4, 8, 7)])
def test_impossible_sizes(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(TrajlabError, match="two or more batches"):
        gradient_noise(1.0, sizes[0], 1.0, sizes[1], population=sizes[2])


def test_the_last_batch_of_a_population_may_be_the_whole_of_it() -> None:
    assert np.isfinite(gradient_noise(1.0, 4, 0.5, 8, population=8).covariance_trace)


def test_three_batches_have_a_standard_error() -> None:
    batches = NoiseOverBatches()
    for size in (1.0, 2.0, 4.0):
        batches.add(size * torch.ones(1).double(), size * torch.ones(3), 1.0)
    assert batches.result(size=8, population=np.inf)[1].covariance_trace > 0


@pytest.mark.parametrize("length", [10.0, 0.1])
@pytest.mark.parametrize(("roundings", "impossible"), [(0, False), (90, False), (110, True)])
def test_a_mean_longer_than_its_examples_is_a_rounding_or_impossible(
    length: float, roundings: int, impossible: bool
) -> None:
    """Examples whose squared norms lack so many roundings of what their mean has."""
    square = length**2
    norms = torch.full((4,), square - roundings * 2.0**-52 * square, dtype=torch.float64)
    noise = NoiseOverBatches()
    noise.add(norms, torch.tensor([4 * length, 0.0], dtype=torch.float64), 4.0)
    found, _ = noise.result()
    assert ("which is impossible" in found.reason) == impossible
    if not impossible:
        assert found.covariance_trace == pytest.approx(0, abs=1e-12 * square)
        assert found.gradient_norm_sq == pytest.approx(square)


def test_weighted_examples_are_scaled_so_that_their_mean_is_the_loss_s() -> None:
    """Losses w_i ℓ_i over Σ w: the gradients that scatter are n w_i g_i / Σ w."""
    rows = torch.tensor([[3.0, 0.0], [1.0, 2.0], [0.0, -1.0], [2.0, 2.0]], dtype=torch.float64)
    weights = torch.tensor([1.0, 4.0, 2.0, 0.5], dtype=torch.float64)
    weighted = weights[:, None] * rows
    noise = NoiseOverBatches()
    for part in (slice(0, 3), slice(3, 4)):
        own = weighted[part]
        noise.add(own.square().sum(1), own.sum(0), float(weights[part].sum()))
    found, _ = noise.result()
    shares = 4 * weighted / weights.sum()
    mean = shares.mean(0)
    assert found.gradient_norm_sq == pytest.approx(mean.square().sum().item())
    scatter = (shares - mean).square().sum(1).mean().item()
    assert found.covariance_trace == pytest.approx(scatter)
