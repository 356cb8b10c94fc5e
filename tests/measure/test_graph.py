"""The autograd graph: who feeds whom, and what every path goes through."""

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from tests.zoo import build
from trajlab.measure.graph import Graph


def test_graph_tells_users_and_losses() -> None:
    weight = nn.Parameter(torch.ones(2))
    first, second = (weight * 2).sum(), (weight * weight).sum()
    graph = Graph([first, None, second])
    node = torch.autograd.graph.get_gradient_edge(weight).node
    assert [graph.reaches(loss, node) for loss in range(3)] == [True, False, True]
    assert graph.only_loss(node) is None
    assert sorted(graph.only_loss(user) for user in set(graph.users(node))) == [0, 2]
    spare: Tensor = nn.Parameter(torch.ones(2))
    spare_node = torch.autograd.graph.get_gradient_edge(spare).node
    assert graph.users(spare_node) == []
    assert not graph.reaches(0, spare_node)


@pytest.mark.parametrize("case", ["residual", "tied weights", "tasks skip layers"])
def test_dominators_are_the_nodes_without_which_no_path_is_left(case: str) -> None:
    losses = build(case, torch.float64).losses(0)
    graph = Graph(losses)
    roots = [loss.grad_fn for loss in losses]
    nodes = list(graph._users)

    def reached_without(missing: Node) -> set[Node]:
        stack, found = [root for root in roots if root is not missing], set()
        while stack:
            node = stack.pop()
            found.add(node)
            stack += [n for n, _ in node.next_functions if n not in (None, missing, *found)]
        return found

    left = {node: reached_without(node) for node in nodes}
    for target in nodes:
        expected = {node for node in nodes if target not in left[node]}
        assert set(graph.dominators([target])) == expected
    assert set(graph.dominators(nodes[-2:])) == {
        node for node in nodes if not left[node].intersection(nodes[-2:])
    }
