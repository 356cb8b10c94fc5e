"""Gradient noise against exact moments and by simulation."""

import numpy as np
import pytest

from trajlab.errors import TrajlabError
from trajlab.measure.noise import gradient_noise


def population(n: int = 96, p: int = 5) -> tuple[np.ndarray, float, float]:
    gradients = np.random.default_rng(0).normal([1, 0, -2, 0.5, 0], [1, 3, 0.2, 1, 2], (n, p))
    mean = gradients.mean(0)
    return gradients, float(((gradients - mean) ** 2).sum(1).mean()), float((mean**2).sum())


def test_exact_from_per_example_norms_of_the_whole_population() -> None:
    gradients, trace, norm_sq = population()
    found = gradient_noise(
        float((gradients**2).sum(1).mean()), 1, norm_sq, len(gradients), len(gradients)
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
        noise = gradient_noise(small, size, large, size * batches, len(gradients))
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


@pytest.mark.parametrize("sizes", [(0, 4, 9), (4, 4, 9), (4, 8, 7)])
def test_impossible_sizes(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(TrajlabError, match="two or more batches"):
        gradient_noise(1.0, sizes[0], 1.0, sizes[1], sizes[2])
