"""Which formula a parameter goes by."""

import pytest
import torch
from torch import Tensor

from tests.measure.gram.readable import readable
from tests.zoo import build
from trajlab.measure.gram.blocks import Block, GradientBlock, LinearBlock
from trajlab.measure.gram.formulas import choose_blocks
from trajlab.measure.gram.layer_sums import TaskGram
from trajlab.measure.gram.projection import ProjectedBlock, Projection
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
@readable
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


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs", "formula"),
    [  # multiplications of two tasks: by a kernel of rows, by weight gradients, by two columns
        (2, 100, 100, LinearBlock),  # 2,000, 80,000, 2,000
        (3, 100, 100, ProjectedBlock),  # 3,900, 100,000, 2,600
        (100, 4, 1, GradientBlock),  # 60,400, 816, 1,208
        (100, 4, 2, ProjectedBlock),  # 80,800, 1,632, 1,616
    ],
)
def test_a_product_goes_by_the_cheapest_of_three(
    rows: int, inputs: int, outputs: int, formula: type[Block]
) -> None:
    weight = torch.randn(inputs, outputs, requires_grad=True)
    z = torch.randn(rows, inputs) @ weight
    drawn = Projection(2, torch.Generator())
    graph = Graph([z.sin().sum(), z.cos().sum()])
    (block,) = choose_blocks({"a": ["w"]}, {"w": weight}, graph, 2, projection=drawn)
    assert type(block) is formula


def by_gradients(losses: list[Tensor], parameters: dict[str, Tensor]) -> Tensor:
    """Gram matrix over all parameters, from autograd's own gradients."""
    rows = [
        torch.cat(
            [g.flatten() for g in torch.autograd.grad(loss, list(parameters.values()), None, True)]
        )
        for loss in losses
    ]
    return torch.stack(rows) @ torch.stack(rows).T


@pytest.mark.parametrize("shape", [(30,), (2, 30), (1, 30)])
@readable
def test_what_is_added_to_a_product_is_a_bias_if_each_row_gets_it(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 40, dtype=torch.float64)  # few rows: products go by them
    added = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    w = torch.randn(40, 30, dtype=torch.float64, requires_grad=True)
    z = torch.addmm(added, x, w)
    losses = [z.sin().sum(), z.exp().sum()]
    parameters = {"layer.bias": added, "layer.weight": w}
    found = task_gram(losses, parameters)
    assert found.from_gradients == (() if shape == (30,) else ("layer",))
    torch.testing.assert_close(found.gram.sum(0), by_gradients(losses, parameters))


@pytest.mark.parametrize("padding", [None, 2, 7])
@readable
def test_a_padded_row_of_a_table_counts_nowhere(padding: int | None) -> None:
    """Where it is looked up its gradient is dropped; row 7 is looked up by nobody."""
    torch.manual_seed(0)
    table = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    looked_up = torch.tensor([2, 5, 2, 9])
    z = torch.nn.functional.embedding(looked_up, table, padding)
    losses = [z.sin().sum(), (z * torch.arange(4.0)[:, None]).sum()]
    found = task_gram(losses, {"table": table})
    assert found.from_gradients == ()
    torch.testing.assert_close(found.gram.sum(0), by_gradients(losses, {"table": table}))


def products_of(
    rows: int, inputs: int, outputs: int, tasks: int, drawn: Projection | None
) -> TaskGram:
    """Gram matrix of several losses of one matrix that rows are multiplied by."""
    torch.manual_seed(0)
    w = torch.randn(outputs, inputs, dtype=torch.float64, requires_grad=True)
    z = torch.nn.functional.linear(torch.randn(rows, inputs, dtype=torch.float64), w)
    losses = [(z**power).sum() for power in range(2, 2 + tasks)]
    return task_gram(losses, {"layer.weight": w}, projection=drawn)


@pytest.mark.parametrize(
    ("sizes", "by_products"),
    [
        # by products of rows: 12² (20 + 3 · 8) + 3² · 12 · 8, by gradients: 3 (12 + 3) 20 · 8
        ((12, 20, 8, 3), False),  # 7200 both ways
        ((4, 6, 2, 4), True),  # 352 for 384
    ],
)
@readable
def test_the_way_of_fewer_multiplications_is_taken(
    sizes: tuple[int, int, int, int], by_products: bool
) -> None:
    found = products_of(*sizes, None)
    assert found.from_gradients == (() if by_products else ("layer",))


@pytest.mark.parametrize(
    ("sizes", "estimated"),
    [
        # of 6 columns: 8 · 22 · 6 + 3 (8 + 3) 2 · 6, by gradients: 3 (8 + 3) 22 · 2
        ((8, 22, 2, 3), False),  # 1452 both ways
        ((35, 22, 2, 4), True),  # 6492 for 6864
    ],
)
@readable
def test_what_is_estimated_takes_fewer_multiplications(
    sizes: tuple[int, int, int, int], estimated: bool
) -> None:
    drawn = Projection(6, torch.Generator().manual_seed(0))
    assert (products_of(*sizes, drawn).standard_error is not None) == estimated
