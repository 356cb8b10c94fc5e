"""What is put together from blocks: sums over a layer, divisions, lost and omitted tasks."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from trajlab.measure.gram.blocks import Block, gradient_block
from trajlab.measure.gram.layer_sums import BlockSums

LOSSES = [torch.ones(()), torch.ones(()), None]
CPU = torch.device("cpu")
A, B = torch.tensor([1.0, 2.0]), torch.tensor([3.0, -1.0])


class Estimated(Block):
    """A block of which each entry is known with the error 2."""

    def gram(self, rows: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack([*rows]).double()
        return stacked @ stacked.T

    def estimate(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        return self.gram(rows), torch.full((len(rows), len(rows)), 4.0, dtype=torch.float64)


def block(kind: type[Block] | None, layer: str) -> Block:
    parameter = torch.zeros(2, requires_grad=True)
    if kind is None:
        return gradient_block(layer, "w", parameter)
    return kind(layer, ("w",), get_gradient_edge(parameter), 2)


def test_blocks_of_a_layer_add_up_and_an_omitted_task_is_nan() -> None:
    sums = BlockSums(["first", "second"], LOSSES, CPU)
    for rows in ({0: A, 1: B}, {1: A}):
        sums.add(block(None, "first"), rows)
    found = sums.result()
    assert found.layers == ("first", "second")
    assert found.from_gradients == ("first",)
    assert found.reached == (0, 1)
    assert found.standard_error is None
    assert found.gram[0, :2, :2].tolist() == [[5, 1], [1, 10 + 5]]
    assert found.gram[1, :2, :2].tolist() == [[0, 0], [0, 0]]
    assert found.gram[:, 2].isnan().all()
    assert found.gram[:, :, 2].isnan().all()
    assert sums.squared_norms().tolist() == [5, 15, 0]


@pytest.mark.parametrize("weight", [0.5, -0.5])
def test_rows_of_weighted_losses_are_divided_and_their_errors_stay_positive(weight: float) -> None:
    sums = BlockSums(["layer"], LOSSES, CPU)
    sums.add(block(Estimated, "layer"), {0: 2 * A, 1: weight * B})
    sums.divide(torch.tensor([2.0, weight, 1.0]))
    found = sums.result()
    assert found.standard_error is not None
    assert found.gram[0, :2, :2].tolist() == [[5, 1], [1, 10]]
    assert found.standard_error[0, :2, :2].tolist() == [[2 / 4, 2 / 1], [2 / 1, 2 / 0.25]]


@pytest.mark.parametrize("lost", [False, True])
def test_a_task_is_given_up_where_the_flag_says_so(lost: bool) -> None:
    sums = BlockSums(["layer"], LOSSES, CPU)
    sums.add(block(None, "layer"), {0: A, 1: B})
    sums.lose(1, torch.tensor(lost))
    gram = sums.result().gram[0, :2, :2]
    assert gram[0, 0] == 5
    assert gram[1].isnan().all() == gram[:, 1].isnan().all() == lost


def test_sums_are_symmetric_where_a_product_rounds_its_triangles_differently() -> None:
    class Lopsided(Estimated):
        def gram(self, rows: Sequence[Tensor]) -> Tensor:
            return super().gram(rows) + torch.tensor([[0.0, 0.5], [0.0, 0.0]]).double()

    sums = BlockSums(["layer"], LOSSES, CPU)
    sums.add(block(Lopsided, "layer"), {0: A, 1: B})
    assert sums.result().gram[0, :2, :2].tolist() == [[5, 1.25], [1.25, 10]]
