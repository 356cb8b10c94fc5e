"""The autograd graph below some losses: who feeds whom, and what each loss reaches."""

import operator
from collections.abc import Sequence
from functools import reduce

from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from trajlab.errors import TrajlabError

_LONGEST_CHAIN = 6  # output <- view <- product <- transpose <- cast <- weight, and one to spare


class Graph:
    """What a backward pass from the losses walks.

    Parameters
    ----------
    losses : sequence of Tensor or None
        None, or a loss that needs no gradient, reaches nothing.

    Raises
    ------
    TrajlabError
        If the graph goes through a reentrant checkpoint: its parameters are not on the graph.
    """

    def __init__(self, losses: Sequence[Tensor | None]) -> None:
        roots = [
            get_gradient_edge(loss).node if loss is not None and loss.requires_grad else None
            for loss in losses
        ]
        stack = list(dict.fromkeys(root for root in roots if root is not None))
        self._users: dict[Node, list[Node]] = {root: [] for root in stack}
        while stack:
            node = stack.pop()
            for following, _ in node.next_functions:
                if following is None:
                    continue
                users = self._users.get(following)
                if users is None:
                    self._users[following] = [node]
                    stack.append(following)
                else:
                    users.append(node)
        if any(node.name() == "CheckpointFunctionBackward" for node in self._users):
            raise TrajlabError(
                "the losses go through a reentrant checkpoint, which hides its parameters; call "
                "torch.utils.checkpoint.checkpoint with use_reentrant=False"
            )
        self._reached_by = self._propagate(roots)

    def users(self, node: Node) -> set[Node]:
        """Return the nodes that pass a gradient on to the node."""
        return set(self._users.get(node, ()))

    def reached_by(self, node: Node) -> tuple[int, ...]:
        """Return the positions of the losses whose backward pass comes to the node."""
        bits = self._reached_by.get(node, 0)
        return tuple(position for position in range(bits.bit_length()) if bits >> position & 1)

    def common_edge(self) -> GradientEdge:
        """Return the edge of the last tensor on which all losses depend.

        Raises
        ------
        TrajlabError
            If fewer than two losses have a graph, or they depend on no one last tensor.
        """
        every = reduce(operator.or_, self._reached_by.values(), 0)
        last = [
            node
            for node, bits in self._reached_by.items()
            if bits == every
            and not any(self._reached_by[user] == every for user in self._users[node])
            and not hasattr(node, "variable")  # a parameter
        ]
        edges = {
            (node, number)
            for node in last
            for user in self._users[node]
            for following, number in user.next_functions
            if following is node
        }
        if every.bit_count() < 2 or len(edges) != 1:
            raise TrajlabError(
                "the losses do not leave one common tensor, so there is no representation to "
                "differentiate for; use scope='parameters'"
            )
        return GradientEdge(*edges.pop())

    def used_only_in(self, parameter: Tensor, output: Node) -> bool:
        """Say whether the parameter's one use is a simple chain up to the node of a layer's output.

        Parameters
        ----------
        parameter : Tensor
            A leaf.
        output : Node
            The node of a `Call.output`.
        """
        users = self._users.get(get_gradient_edge(parameter).node, [])
        for _ in range(_LONGEST_CHAIN):
            if len(users) != 1:
                return False
            if users[0] is output:
                return True
            users = self._users[users[0]]
        return False

    def _propagate(self, roots: Sequence[Node | None]) -> dict[Node, int]:
        """Give each node one bit a loss that reaches it, users before what they use."""
        reached = dict.fromkeys(self._users, 0)
        for position, root in enumerate(roots):
            if root is not None:
                reached[root] |= 1 << position
        waiting = {node: len(users) for node, users in self._users.items()}
        ready = [node for node, number in waiting.items() if number == 0]
        while ready:
            node = ready.pop()
            for following, _ in node.next_functions:
                if following is not None:
                    reached[following] |= reached[node]
                    waiting[following] -= 1
                    if waiting[following] == 0:
                        ready.append(following)
        return reached
