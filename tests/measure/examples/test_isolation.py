"""Which layers keep examples apart: every pair of examples is told."""

import pytest
import torch
from torch import Tensor, nn

from trajlab.measure.examples.capture import Capture
from trajlab.measure.examples.isolation import _factors, _follows, only_way, output_gradients
from trajlab.measure.graph import Graph


@pytest.mark.parametrize("n", [1, 2, 8, 9, 64, 65, 513])
@pytest.mark.parametrize("base", [8, 64])
def test_any_two_examples_differ_in_a_factor(n: int, base: int) -> None:
    factors = torch.stack(list(_factors(n, base)))
    assert len(factors.T.unique(dim=0)) == n
    assert len(factors) == max(1, -(-(n - 1).bit_length() // (base - 1).bit_length()))


@pytest.mark.parametrize("pair", [(0, 1), (3, 69), (40, 8), (99, 2)])
@pytest.mark.parametrize("weight", [0.0, 1e-6, 1.0])
def test_one_example_that_reaches_another_is_seen(pair: tuple[int, int], weight: float) -> None:
    layer = nn.Linear(3, 4).double()
    reaching, reached = pair
    with Capture({"layer": layer}) as capture:
        z = layer(torch.randn(100, 3).double())
    mixed = z.index_add(0, torch.tensor([reaching]), weight * z[reached : reached + 1])
    gradients = output_gradients(mixed.sin().sum(1), capture.calls)
    assert ("layer" in gradients) == (weight == 0)


def test_gradients_are_those_of_the_sum_even_beside_an_example_that_is_nan() -> None:
    layer = nn.Linear(3, 4)
    x = torch.randn(6, 3)
    x[2] = torch.nan
    with Capture({"layer": layer}) as capture:
        z = layer(x)
    gradient = output_gradients(z.sin().sum(1), capture.calls)["layer"]
    assert torch.equal(gradient[[0, 1, 3, 4, 5]], z.cos()[[0, 1, 3, 4, 5]])
    assert gradient[2].isnan().all()


@pytest.mark.parametrize(("stray", "follows"), [(1e-13, True), (1e-10, False)])
def test_rounding_is_measured_by_an_examples_largest_gradient(stray: float, follows: bool) -> None:
    """Where a gradient is 0, other factors may round to something that is not."""
    plain = torch.tensor([[1.0, 0.0], [0.0, 3.0]]).double()
    factors = torch.tensor([0.5, 4.0]).double()
    moved = torch.tensor([[0.0, stray], [0.0, 0.0]]).double()
    assert _follows(factors[:, None] * (plain + moved), plain, factors) == follows
    assert _follows(torch.empty(2, 0).double(), torch.empty(2, 0).double(), factors)


def ways(case: str) -> tuple[Tensor, nn.Linear, Capture]:
    layer = nn.Linear(3, 3)
    x = torch.randn(5, 3, requires_grad=True)
    with Capture({"layer": layer}) as capture:
        z = layer(layer(x).tanh()) if case == "twice in a row" else layer(x)
        if case == "twice beside":
            z = z + layer(2 * x)
    losses = z.square().sum(1)
    if case == "tied":
        losses = losses + (x @ layer.weight).sum(1)
    if case == "penalty of weights":
        losses = losses + layer.weight.square().sum()
    if case == "gradient in the loss":
        (slope,) = torch.autograd.grad(z.tanh().sum(), x, create_graph=True)
        losses = slope.square().sum(1)
    return losses, layer, capture


@pytest.mark.parametrize(
    ("case", "only"),
    [
        ("once", True),
        ("twice beside", False),
        ("twice in a row", False),
        ("tied", False),
        ("penalty of weights", False),
        ("gradient in the loss", False),
    ],
)
def test_only_way_is_through_the_call(case: str, only: bool) -> None:
    losses, layer, capture = ways(case)
    assert only_way(capture.calls["layer"], layer.weight, Graph([losses])) == only
    elsewhere = nn.Parameter(torch.ones(2))
    assert not only_way(capture.calls["layer"], elsewhere, Graph([losses]))
