"""The autograd graph below some losses: who feeds whom, and what each loss reaches."""

import operator
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial, reduce

from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from trajlab.errors import TrajlabError

_Dominators = dict[Node, tuple[Node | None, int]]


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
        self._roots: dict[Node, int] = {}  # one bit a loss
        for position, loss in enumerate(losses):
            if loss is not None and loss.requires_grad:
                root = get_gradient_edge(loss).node
                self._roots[root] = self._roots.get(root, 0) | 1 << position
        stack = list(self._roots)
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
        _refuse_reentrant(self._users)
        self._reached_by = self._propagate()

    @property
    def compiled(self) -> bool:
        """Whether a part of it is compiled, which may be walked only once."""
        return any(type(node).__name__ == "CompiledFunctionBackward" for node in self._users)

    def __contains__(self, node: Node) -> bool:
        """Say whether a backward pass comes to the node."""
        return node in self._users

    def __iter__(self) -> Iterator[Node]:
        """Yield each node once."""
        return iter(self._users)

    def is_loss(self, node: Node) -> bool:
        """Say whether the node made one of the losses."""
        return node in self._roots

    def users(self, node: Node) -> list[Node]:
        """Return the nodes that pass a gradient on to the node, once for each time they do."""
        return self._users.get(node, [])

    def reaches(self, loss: int, node: Node) -> bool:
        """Say whether the backward pass of the loss at that position comes to the node."""
        return bool(self._reached_by.get(node, 0) >> loss & 1)

    def only_loss(self, node: Node) -> int | None:
        """Return the position of the one loss that reaches the node; None if several do."""
        bits = self._reached_by[node]
        return bits.bit_length() - 1 if bits.bit_count() == 1 else None

    def edge(self, node: Node) -> GradientEdge | None:
        """Return the one edge by which gradients arrive at the node.

        None for a loss, for a leaf, and for a node that has several outputs in use.
        """
        numbers = {
            number
            for user in self.users(node)
            for following, number in user.next_functions
            if following is node
        }
        if node in self._roots or len(numbers) != 1 or hasattr(node, "variable"):
            return None
        return GradientEdge(node, numbers.pop())

    def common_edge(self) -> GradientEdge:
        """Return the edge of the last tensor on which all losses depend.

        Raises
        ------
        TrajlabError
            If fewer than two losses have a graph, or they depend on no one last tensor.
        """
        every = reduce(operator.or_, self._roots.values(), 0)
        last = [
            node
            for node, bits in self._reached_by.items()
            if bits == every
            and not any(self._reached_by[user] == every for user in self._users[node])
            and not hasattr(node, "variable")  # a parameter
        ]
        edge = self.edge(last[0]) if len(last) == 1 else None
        if every.bit_count() < 2 or edge is None:
            raise TrajlabError(
                "the losses do not leave one common tensor, so there is no representation to "
                "differentiate for; use scope='parameters'"
            )
        return edge

    def dominators(self, nodes: Iterable[Node]) -> list[Node]:
        """Return the nodes that every path from a loss to any of the given nodes goes through.

        A given node counts among its dominators. They come in the order of a backward pass; there
        are none if a given node is not on the graph.
        """
        given: list[Node | None] = [*nodes]
        if not given or any(node not in self._above for node in given):
            return []
        node = reduce(partial(_meet, self._above), given)
        chain = []
        while node is not None:
            chain.append(node)
            node, _ = self._above[node]
        return chain[::-1]

    def below(self, node: Node) -> set[Node]:
        """Return the nodes that a backward pass from the node comes to, and itself."""
        reached = {node}
        stack = [node]
        while stack:
            for following, _ in stack.pop().next_functions:
                if following is not None and following not in reached:
                    reached.add(following)
                    stack.append(following)
        return reached

    @cached_property
    def _above(self) -> _Dominators:
        """The closest dominator of each node (None is above all losses), and the node's depth.

        References
        ----------
        K. D. Cooper, T. J. Harvey and K. Kennedy, "A Simple, Fast Dominance Algorithm", 2001; a
        graph without cycles needs one pass.
        """
        above: _Dominators = {}
        for node in self._reached_by:
            users: list[Node | None] = [*self._users[node]]
            closest = None if node in self._roots else reduce(partial(_meet, above), users)
            above[node] = (closest, 1 if closest is None else above[closest][1] + 1)
        return above

    def _propagate(self) -> dict[Node, int]:
        """Give each node one bit a loss that reaches it, users before what they use."""
        reached: dict[Node, int] = {}
        bits = dict.fromkeys(self._users, 0) | self._roots
        waiting = {node: len(users) for node, users in self._users.items()}
        ready = [node for node, number in waiting.items() if number == 0]
        while ready:
            node = ready.pop()
            losses = reached[node] = bits[node]
            for following, _ in node.next_functions:
                if following is not None:
                    bits[following] |= losses
                    waiting[following] -= 1
                    if waiting[following] == 0:
                        ready.append(following)
        return reached


def below_losses(losses: Iterable[Tensor | None]) -> Iterator[Node]:
    """Yield each node of the losses' graph once."""
    stack = [loss.grad_fn for loss in losses if loss is not None]
    seen: set[Node] = set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        stack.extend(following for following, _ in node.next_functions)


def refuse_reentrant(losses: Iterable[Tensor | None]) -> None:
    """Raise if the graph of some losses goes through a reentrant checkpoint.

    Its parameters are not on the graph: a gradient for them would be zero like any.

    Raises
    ------
    TrajlabError
        Saying what to do.
    """
    _refuse_reentrant(below_losses(losses))


def _refuse_reentrant(nodes: Iterable[Node]) -> None:
    if any(type(node).__name__ == "CheckpointFunctionBackward" for node in nodes):
        raise TrajlabError(
            "the losses go through a reentrant checkpoint, which hides its parameters; call "
            "torch.utils.checkpoint.checkpoint with use_reentrant=False"
        )


def _meet(above: _Dominators, a: Node | None, b: Node | None) -> Node | None:
    """Return the closest node that dominates both."""
    while a is not b:
        if a is None or b is None:
            return None
        if above[a][1] < above[b][1]:
            a, b = b, a
        a = above[a][0]
    return a
