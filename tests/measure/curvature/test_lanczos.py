"""Lanczos against dense eigenvalues."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trajlab.measure.curvature.lanczos import Ends, lanczos

spectra = st.lists(
    st.floats(-100, 100, allow_subnormal=False).map(lambda x: round(x, 3)), min_size=1, max_size=40
)


def run(matrix: Tensor, seed: int = 0, tolerance: float = 1e-3, limit: int = 50) -> Ends:
    start = torch.randn(
        len(matrix), generator=torch.Generator().manual_seed(seed), dtype=matrix.dtype
    )
    return lanczos(lambda v: matrix @ v, start, tolerance=tolerance, limit=limit)


def rotated(spectrum: list[float], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    n = len(spectrum)
    q, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    return q @ torch.diag(torch.tensor(spectrum, dtype=torch.float64)) @ q.T


@settings(max_examples=100, deadline=None)
@given(spectrum=spectra, seed=st.integers(0, 1000))
def test_values_lie_inside_the_spectrum_and_a_residual_from_an_eigenvalue(
    spectrum: list[float], seed: int
) -> None:
    ends = run(rotated(spectrum, seed), seed)
    rounding = 1e-9 * np.abs(spectrum).max() + 1e-12
    for end in (ends.top, ends.bottom):
        assert min(spectrum) - rounding <= end.value <= max(spectrum) + rounding
        assert np.abs(np.array(spectrum) - end.value).min() <= end.residual + rounding


@pytest.mark.parametrize(
    "outliers", [[30.0, 20.0, -25.0], [3.0, -40.0], [5.0, 4.9, 4.8, 2.0], [2.82, 2.62, 2.2, -7.8]]
)
def test_converged_values_are_within_tolerance(outliers: list[float]) -> None:
    # a bulk and outliers, as spectra of networks are; every start must do
    matrix = rotated([*outliers, *np.linspace(-1, 1, 80) ** 3], 0)
    for seed in range(100):
        ends = run(matrix, seed)
        assert ends.top.converged
        assert ends.top.value == pytest.approx(max(outliers), rel=1e-3)
        if ends.bottom.converged:
            bottom = min(-1.0, *outliers)
            assert abs(ends.bottom.value - bottom) <= 1e-3 * np.abs(outliers).max()


@settings(max_examples=50, deadline=None)
@given(spectrum=spectra)
def test_exhausted_space_is_exact(spectrum: list[float]) -> None:
    ends = run(rotated(spectrum, 0), tolerance=-1.0, limit=100)  # no residual is small enough
    assert ends.top.converged
    assert ends.top.value == pytest.approx(max(spectrum), rel=1e-7, abs=1e-7)
    assert ends.bottom.converged
    assert ends.bottom.value == pytest.approx(min(spectrum), rel=1e-7, abs=1e-7)


def test_two_ends_of_almost_equal_magnitude_are_told_apart() -> None:
    # where power iteration returns something in between
    ends = run(rotated([10.0, -10.01, *np.linspace(-5, 5, 60)], 3))
    assert ends.top.value == pytest.approx(10.0, rel=1e-3)
    assert ends.bottom.value == pytest.approx(-10.01, rel=1e-3)


def test_gives_up_at_the_limit_and_says_so() -> None:
    ends = run(rotated(list(np.linspace(0.999, 1.0, 400) ** 0.1), 0), tolerance=1e-12, limit=12)
    assert ends.products == 12
    assert not ends.top.converged


def test_stops_early_but_not_before_five_products() -> None:
    ends = run(rotated([100.0, *np.linspace(-1, 1, 100)], 0))
    assert ends.top.converged
    assert ends.products == 5


def test_both_ends_go_on_until_the_smaller_in_magnitude_is_settled() -> None:
    matrix = rotated([100.0, *np.linspace(-3, 1, 100)], 0)
    start = torch.randn(101, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one, two = (
        lanczos(lambda v: matrix @ v, start, tolerance=1e-4, limit=50, both=both)
        for both in (False, True)
    )
    assert one.top.converged
    assert not one.bottom.converged
    assert two.bottom.converged
    assert two.products > one.products
    assert abs(two.bottom.value + 3) < 1e-4 * 100


def test_bottom_is_settled_within_the_tolerance_of_the_larger_magnitude() -> None:
    matrix = rotated([100.0, *np.linspace(-3, 1, 100)], 0)
    start = torch.randn(101, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def both(limit: int) -> Ends:
        return lanczos(lambda v: matrix @ v, start, tolerance=1e-4, limit=limit, both=True)

    settled = both(50)
    assert 1e-4 * 3 < settled.bottom.residual <= 1e-4 * 100
    one_less = both(settled.products - 1).bottom
    assert one_less.residual > 1e-4 * 100
    assert not one_less.converged


def test_asymmetry_is_seen() -> None:
    matrix = rotated([100.0, *np.linspace(-1, 1, 100)], 0)
    assert run(matrix).asymmetry < 1e-12
    noise = torch.randn(101, 101, generator=torch.Generator().manual_seed(0)).double()
    assert 1e-3 < run(matrix + 0.1 * (noise - noise.T)).asymmetry < 0.1


def test_zero_matrix() -> None:
    ends = run(torch.zeros(5, 5))
    assert (ends.top.value, ends.top.residual, ends.top.converged, ends.products) == (0, 0, True, 1)


def test_low_rank_in_float32() -> None:
    v = torch.randn(3000, generator=torch.Generator().manual_seed(0))
    ends = run(torch.outer(v, v))
    assert ends.top.converged
    assert ends.top.value == pytest.approx(v.double().pow(2).sum().item(), rel=1e-5)


def test_autocast_left_on_costs_no_precision() -> None:
    spectrum, start = torch.linspace(-1, 2, 50), torch.ones(50)
    plain = lanczos(lambda v: spectrum * v, start, tolerance=1e-6, limit=20)
    with torch.autocast("cpu", torch.bfloat16):
        found = lanczos(lambda v: spectrum * v, start, tolerance=1e-6, limit=20)
    assert found == plain


def test_infinite_product_is_nan() -> None:
    ends = run(torch.full((3, 3), torch.inf))
    assert np.isnan(ends.top.value)
    assert not ends.top.converged
