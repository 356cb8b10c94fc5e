"""Which formula a parameter goes by."""

import pytest
import torch
from torch import Tensor

from tests.zoo import build
from trajlab.measure.gram.blocks import GradientBlock
from trajlab.measure.gram.formulas import choose_blocks
from trajlab.measure.gram.task_gram import task_gram
from trajlab.measure.graph import Graph
from trajlab.measure.layers import group_by_layer


@pytest.mark.parametrize(
    ("case", "from_gradients"),
    [
        ("function alone", ()),
        ("module called twice", ("trunk.linear",)),
        ("product with a sum of two scales", ("trunk.linear",)),
        ("embedding", ("trunk.table",)),  # of which most rows are looked up
        ("embedding of many rows", ()),
        ("embedding of many rows, sparse", ()),
        ("embedding of many rows, padded", ()),
        ("embedding of many rows, by frequency", ("trunk.table",)),
    ],
)
def test_parameters_go_by_their_use_on_the_graph(
    case: str, from_gradients: tuple[str, ...]
) -> None:
    model = build(case, torch.float64)
    assert task_gram(model.losses(0), model.shared()).from_gradients == from_gradients


def test_packed_operands_are_not_unpacked_for_a_formula() -> None:
    model = build("mlp", torch.float64)
    unpacked = []

    def unpack(tensor: Tensor) -> Tensor:
        unpacked.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
        losses = model.losses(0)
    layers = group_by_layer(model.shared())
    blocks = choose_blocks(layers, model.shared(), Graph(losses), 3)
    assert not unpacked
    assert all(isinstance(block, GradientBlock) for block in blocks)
