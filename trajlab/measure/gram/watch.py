"""What looks at the gradients that pass in one training backward, and leaves them as they are."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Self

from torch import Tensor
from torch.autograd.graph import GradientEdge, Node
from torch.utils.hooks import RemovableHandle

from trajlab.measure.gram.interference import Interference
from trajlab.measure.gram.layer_sums import BlockSums
from trajlab.measure.graph import Graph

Gradients = tuple[Tensor | None, ...]
Guarded = Callable[[], AbstractContextManager[None]]


class _Thread(threading.local):
    pulls_back = False


_thread = _Thread()  # of several watches, one may pull back while the others watch


@contextmanager
def pulling_back() -> Iterator[None]:
    """Let no watch look at the backward passes that this thread runs meanwhile."""
    _thread.pulls_back = True
    try:
        yield
    finally:
        _thread.pulls_back = False


def is_training() -> bool:
    """Say whether what passes a hook belongs to the training backward."""
    return not _thread.pulls_back


class Watch(ABC):
    """Looks at the gradients that pass in one training backward.

    Use it as a context manager around that backward, and nothing but it.

    Parameters
    ----------
    sums : BlockSums
        Sums of the blocks; complete when the backward is over.

    Attributes
    ----------
    sums : BlockSums
    """

    def __init__(self, sums: BlockSums) -> None:
        self.sums = sums
        self._handles: list[RemovableHandle] = []

    @abstractmethod
    def _hooks(self) -> Iterator[RemovableHandle]:
        """Register the hooks."""

    @abstractmethod
    def _finish(self) -> None:
        """Add what the backward did not come to."""

    def __enter__(self) -> Self:
        self._handles = list(self._hooks())
        Interference.count_own(len(self._handles))
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        for handle in self._handles:
            handle.remove()
        if error is None:
            self._finish()


class Arrivals:
    """What each loss contributes to the gradient at one edge, where only losses' own nodes feed it.

    Parameters
    ----------
    graph : Graph
        Graph of the losses.
    edge : GradientEdge
        Edge at which their gradients add up.

    Attributes
    ----------
    separable : bool
        Whether each node that feeds the edge belongs to one loss alone.
    rows : dict of int to Tensor
        Gradients of the weighted losses, by position; complete when the backward comes to the edge.
    """

    def __init__(self, graph: Graph, edge: GradientEdge) -> None:
        self._edge = edge
        self._feeders = [(user, graph.only_loss(user)) for user in set(graph.users(edge.node))]
        self.separable = all(loss is not None for _, loss in self._feeders)
        self.rows: dict[int, Tensor] = {}

    def hooks(self, lost: Collection[int]) -> Iterator[RemovableHandle]:
        """Register the hooks, but for the losses whose gradients are lost."""
        for user, loss in self._feeders:
            if loss is not None and loss not in lost:
                yield user.register_hook(self._adds(user, loss))

    def _adds(self, user: Node, loss: int) -> Callable[[Gradients, Gradients], None]:
        to = (self._edge.node, self._edge.output_nr)
        slots = [slot for slot, edge in enumerate(user.next_functions) if edge == to]

        def hook(passed: Gradients, _: Gradients) -> None:
            if not is_training():
                return
            for gradient in (passed[slot] for slot in slots):
                if gradient is not None:
                    row = self.rows.get(loss)
                    self.rows[loss] = gradient if row is None else row + gradient

        return hook
