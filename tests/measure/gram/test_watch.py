"""Arrivals at an edge during the training backward, told apart by loss."""

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from trajlab.measure.gram.watch import Arrivals, is_training, pulling_back
from trajlab.measure.graph import Graph

X = torch.tensor([1.0, 2.0])


def two_heads() -> tuple[Tensor, list[Tensor]]:
    """A trunk's output z, and losses whose gradients there are 3 X and (2, 2)."""
    z = torch.ones(2, requires_grad=True) * 1.0
    return z, [(3 * X * z).sum(), (z + z).sum()]


def test_each_loss_is_told_apart_in_one_backward() -> None:
    z, losses = two_heads()
    arrivals = Arrivals(Graph(losses), get_gradient_edge(z))
    assert arrivals.separable
    handles = list(arrivals.hooks(()))
    (losses[0] + 5 * losses[1]).backward()
    for handle in handles:
        handle.remove()
    assert {loss: row.tolist() for loss, row in arrivals.rows.items()} == {
        0: [3.0, 6.0],
        1: [10.0, 10.0],
    }


def test_lost_losses_and_pull_backs_of_this_thread_are_not_looked_at() -> None:
    z, losses = two_heads()
    arrivals = Arrivals(Graph(losses), get_gradient_edge(z))
    handles = list(arrivals.hooks({1}))
    with pulling_back():
        assert not is_training()
        torch.autograd.grad(losses[0], z, retain_graph=True)
    assert is_training()
    assert not arrivals.rows
    sum(losses).backward()
    for handle in handles:
        handle.remove()
    assert list(arrivals.rows) == [0]


@pytest.mark.parametrize("mixed", [False, True])
def test_a_node_of_two_losses_cannot_be_separated(mixed: bool) -> None:
    z = torch.ones(2, requires_grad=True) * 1.0
    both = z.exp()
    losses = [both.sum(), (both.square() if mixed else z.sin()).sum()]
    assert Arrivals(Graph(losses), get_gradient_edge(z)).separable != mixed
