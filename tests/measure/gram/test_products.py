"""Inner products of gradients of any size, range, layout and precision."""

import pytest
import torch

from trajlab.measure.gram.products import at_least_single, inner_products, spread


@pytest.mark.parametrize("size", [7, 2**14, 2**14 + 1, 2**15 + 3])
@pytest.mark.parametrize("number", [2, 5])
def test_inner_products_keep_the_range_of_the_rows(size: int, number: int) -> None:
    torch.manual_seed(0)
    scales = torch.tensor([1e20, 1e-22, 1.0, 3e-30, 1e30][:number])
    rows = torch.randn(number, size) * scales[:, None]
    found = inner_products(list(rows))
    expected = rows.double() @ rows.double().mT
    norms = expected.diagonal().sqrt()
    assert ((found - expected).abs() / norms / norms[:, None]).max() < 1e-6


@pytest.mark.parametrize("scale", [3.2e-14, 3.1e-14, 9.9e15, 1.1e16])
def test_both_sides_of_the_range_agree(scale: float) -> None:
    """The square of one number, just inside and outside of what needs no scaling."""
    row = torch.tensor([scale])
    assert inner_products([row]).item() == pytest.approx(row.double().square().item(), rel=1e-7)


def test_rows_without_numbers_or_with_no_numbers() -> None:
    rows = [torch.zeros(3), torch.tensor([1.0, torch.nan, 0.0]), torch.full((3,), 1e25)]
    found = inner_products(rows)
    assert found[1].isnan().all()
    assert found[0, 0] == found[0, 2] == 0
    assert found[2, 2].item() == pytest.approx(3e50, rel=1e-6)
    assert inner_products([torch.zeros(0)]).item() == 0


def test_sparse_complex_and_half_precision_are_those_of_dense_real_numbers() -> None:
    dense = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    assert inner_products([dense.to_sparse(), dense]).tolist() == [[5, 5], [5, 5]]
    z = torch.tensor([1 + 2j, 3 - 1j])
    assert inner_products([z, 1j * z]).tolist() == [[15, 0], [0, 15]]  # Re of the inner product
    half = torch.full((3,), 300.0, dtype=torch.float16)  # whose square it cannot hold
    assert inner_products([half]).item() == 3 * 300**2
    assert at_least_single(half).dtype == torch.float32
    assert at_least_single(half.double()).dtype == torch.float64


def test_products_are_spread_to_the_places_of_their_tasks() -> None:
    products = torch.tensor([[1.0, 2.0], [2.0, 4.0]])
    assert spread(products, [0, 1], 2).tolist() == [[1, 2], [2, 4]]
    assert spread(products, [2, 0], 3).tolist() == [[4, 0, 2], [0, 0, 0], [2, 0, 1]]
