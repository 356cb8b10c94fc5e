"""Weights of losses, as numbers and as tensors."""

import pytest
import torch

from trajlab.measure.gram.weights import is_one, is_zero, plain, vector


@pytest.mark.parametrize(
    ("weight", "one", "zero"),
    [
        (1, True, False),
        (1.0, True, False),
        (0.0, False, True),
        (1e-30, False, False),
        (torch.tensor(1.0), False, False),  # a tensor may get a gradient
        (torch.tensor(0.0), False, True),
        (torch.tensor(1e-30), False, False),
        (torch.tensor(torch.nan), False, False),
    ],
)
def test_one_and_zero(weight: float | torch.Tensor, one: bool, zero: bool) -> None:
    assert (is_one(weight), is_zero(weight)) == (one, zero)


def test_a_vector_of_numbers_and_tensors_has_no_graph() -> None:
    learned = torch.tensor([0.5], requires_grad=True) * 3
    mixed = vector([2, learned, torch.tensor(-1.0)], torch.float64)
    assert mixed.tolist() == [2.0, 1.5, -1.0]
    assert mixed.dtype == torch.float64
    assert not mixed.requires_grad
    assert vector([1, 0.5], torch.float32).tolist() == [1.0, 0.5]
    assert not plain(learned).requires_grad
    assert plain(2.0) == 2.0
