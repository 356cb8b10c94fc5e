"""Each block's formula against the gradients themselves."""

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from trajlab.measure.gram.blocks import Block, EmbeddingBlock, LinearBlock, gradient_block

EDGE: GradientEdge = get_gradient_edge(torch.zeros(1, requires_grad=True))


def outer(a: Tensor, rows: list[Tensor]) -> Tensor:
    """Inner products of the weight gradients B_tᵀ A, made in full."""
    gradients = torch.stack([(b.T @ a).flatten() for b in rows])
    return gradients @ gradients.T


def rows(number: int, *shape: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(number)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(number)]


@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_map_without_its_weight_gradient(bias: bool) -> None:
    a = torch.randn(5, 3, dtype=torch.float64)
    names = ("weight", "bias") if bias else ("weight",)
    gradients = rows(2, 5, 4)
    block: Block = LinearBlock("layer", names, EDGE, 20, a)
    expected = outer(torch.cat([a, torch.ones(5, 1)], 1) if bias else a, gradients)
    torch.testing.assert_close(block.gram(gradients), expected)
    assert block.estimate(gradients)[1] is None


def test_a_table_of_which_rows_are_looked_up_twice_or_do_not_count() -> None:
    looked_up = torch.tensor([4, 1, 4, 0])  # of which the last one is padding
    numbers = torch.tensor([2, 1, 2, 4])  # 4 look-ups: the number 4 counts nowhere
    gradients = rows(3, 4, 6)
    tables = []
    for row in gradients:
        table = torch.zeros(5, 6, dtype=torch.float64)
        table.index_add_(0, looked_up[:3], row[:3])
        tables.append(table.flatten())
    whole = torch.stack(tables)
    block = EmbeddingBlock("layer", ("weight",), EDGE, 24, numbers)
    torch.testing.assert_close(block.gram(gradients), whole @ whole.T)


def test_any_parameter_by_its_gradients() -> None:
    parameter = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    block = gradient_block("layer", "scale", parameter)
    assert (block.parameters, block.size) == (("scale",), 6)
    gradients = rows(2, 2, 3)
    flat = torch.stack([row.flatten() for row in gradients])
    torch.testing.assert_close(block.gram(gradients), flat @ flat.T)
