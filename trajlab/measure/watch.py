"""What looks at the gradients that pass in one training backward, and leaves them as they are."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node
from torch.utils.hooks import RemovableHandle

from trajlab.measure.block_sums import BlockSums
from trajlab.measure.blocks import Block
from trajlab.measure.graph import Graph
from trajlab.measure.segments import Segment

Weight = float | Tensor
Gradients = tuple[Tensor | None, ...]
Guarded = Callable[[], AbstractContextManager[None]]


class Watch(ABC):
    """Looks at the gradients that pass in one training backward.

    Use it as a context manager around that backward, and nothing but it.

    Parameters
    ----------
    sums : BlockSums
        Where blocks are added up; complete when the backward is over.

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
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        if error is None:
            self._finish()


class Arrivals:
    """What each loss contributes to the gradient at one edge, where only losses' own nodes feed it.

    Parameters
    ----------
    graph : Graph
        Of the losses.
    edge : GradientEdge
        Where their gradients add up.

    Attributes
    ----------
    separable : bool
        Whether each node that feeds the edge belongs to one loss alone.
    rows : dict of int to Tensor
        Gradients of the weighted losses, by position; complete when the backward comes to the edge.
    """

    def __init__(self, graph: Graph, edge: GradientEdge) -> None:
        self._edge = edge
        self._feeders = [(user, graph.only_loss(user)) for user in graph.users(edge.node)]
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
            for gradient in (passed[slot] for slot in slots):
                if gradient is not None:
                    row = self.rows.get(loss)
                    self.rows[loss] = gradient if row is None else row + gradient

        return hook


class Contributions(Watch):
    """Tells apart what each task contributes to each block's gradient in the one backward.

    A task whose weight is zero contributes nothing that could be seen, and is pulled back.

    Parameters
    ----------
    arrivals : dict of Block to Arrivals
        What is measured; all separable.
    losses : sequence of Tensor or None
        One a task.
    weights : sequence of float or Tensor
        Their weights in the total.
    sums : BlockSums
        Where the blocks are added up.
    guarded : callable
        Returns a context for pull-backs.
    """

    def __init__(
        self,
        arrivals: dict[Block, Arrivals],
        losses: Sequence[Tensor | None],
        weights: Sequence[Weight],
        sums: BlockSums,
        guarded: Guarded,
    ) -> None:
        super().__init__(sums)
        self._arrivals = arrivals
        self._lost = {t for t, weight in enumerate(weights) if is_zero(weight)}
        seen = [1.0 if t in self._lost else weight for t, weight in enumerate(weights)]
        if not all(_is_one(weight) for weight in seen):
            sums.divide(vector(seen, torch.float64))
        whole = Segment(None, tuple(arrivals), None)
        for t in self._lost:
            loss = losses[t]
            if loss is not None and loss.requires_grad:
                with guarded():
                    rows, _ = whole.pull_back(loss)
                for block, row in rows.items():
                    self._arrivals[block].rows[t] = row

    def _finish(self) -> None:
        for block in list(self._arrivals):
            self._complete(block)

    def _hooks(self) -> Iterator[RemovableHandle]:
        for block, arrivals in self._arrivals.items():
            yield from arrivals.hooks(self._lost)
            yield block.edge.node.register_prehook(lambda _, block=block: self._complete(block))

    def _complete(self, block: Block) -> None:
        self.sums.add(block, self._arrivals.pop(block).rows)


class Total(Watch):
    """Pulls back all tasks but one, and completes each block when the total passes it.

    Where each head's part of the gradient at the trunk's output can be told apart in the training
    backward, pull-backs begin there, in the midst of it; and further segments when it comes to
    them, so that the gradients of the earlier ones are freed.

    Parameters
    ----------
    graph : Graph
        Of the losses.
    segments : sequence of Segment
        Parts of it, from the losses down.
    losses : sequence of Tensor or None
        One a task.
    weights : sequence of float or Tensor
        Their weights in the total.
    sums : BlockSums
        Where the blocks are added up.
    guarded : callable
        Returns a context for pull-backs.
    derived : int, optional
        The task whose gradient is (total - Σ others) / weight; by default all are pulled back.
    conclude : callable, optional
        Looks at this watch when the backward is over.

    Attributes
    ----------
    weights : list of float or Tensor
    derived : int or None
    residual : Tensor
        The squared norm of total - Σ w g, if no task is derived and there is a `conclude`.
    """

    def __init__(
        self,
        graph: Graph,
        segments: Sequence[Segment],
        losses: Sequence[Tensor | None],
        weights: Sequence[Weight],
        sums: BlockSums,
        guarded: Guarded,
        derived: int | None = None,
        conclude: Callable[["Total"], None] | None = None,
    ) -> None:
        super().__init__(sums)
        self.residual: Tensor | float = 0.0
        self._conclude = conclude
        self._segments = segments
        self.weights = [plain(weight) for weight in weights]
        self._guarded = guarded
        self.derived = derived
        self._waiting: dict[Block, dict[int, Tensor]] = {
            block: {} for segment in segments for block in segment.blocks
        }
        self._derivable = {
            block
            for block in self._waiting
            if derived is not None and graph.reaches(derived, block.edge.node)
        }
        self._carried: dict[int, Tensor] = {}  # gradients at the edge where the next one begins
        self._pulling = False
        first = segments[0].following if not segments[0].blocks else None
        self._lost = {t for t, weight in enumerate(weights) if is_zero(weight)}
        arrivals = None if first is None else Arrivals(graph, first)
        self._arrivals = arrivals if arrivals is not None and arrivals.separable else None
        self._pull_back(
            segments[0],
            {
                t: (loss, None)
                for t, loss in enumerate(losses)
                if loss is not None and loss.requires_grad
                if (t in self._lost if self._arrivals else t != derived)
            },
        )

    def _finish(self) -> None:
        for block in list(self._waiting):
            self.sums.add(block, self._waiting.pop(block))
        if self._conclude is not None:
            self._conclude(self)

    def _hooks(self) -> Iterator[RemovableHandle]:
        if self._arrivals is not None:
            yield from self._arrivals.hooks(self._lost)
        for segment in self._segments:
            if segment.source is not None:
                yield segment.source.node.register_prehook(
                    lambda _, segment=segment: self._descend(segment, segment.source)
                )
        for block in self._waiting:
            yield block.edge.node.register_prehook(
                lambda passed, block=block: self._pass(block, passed)
            )

    def _descend(self, segment: Segment, source: GradientEdge) -> None:
        """Pull back through a segment when the total has come to its source."""
        if self._pulling:
            return
        rows, self._carried = self._carried, {}
        if self._arrivals is not None:
            for t, row in self._arrivals.rows.items():
                weight = self.weights[t]
                rows[t] = row if _is_one(weight) else row / weight
            self._arrivals = None
        if self.derived is not None:
            rows.pop(self.derived, None)
        self._pull_back(segment, {t: (source, row) for t, row in rows.items()})

    def _pull_back(
        self,
        segment: Segment,
        starts: Mapping[int, tuple[Tensor | GradientEdge, Tensor | None]],
    ) -> None:
        if not starts:
            return
        self._pulling = True  # what follows goes through nodes that are watched
        try:
            with self._guarded():
                for t, (root, gradient) in starts.items():
                    rows, following = segment.pull_back(root, gradient)
                    for block, row in rows.items():
                        self._waiting[block][t] = row
                    if following is not None:
                        self._carried[t] = following
        finally:
            self._pulling = False

    def _pass(self, block: Block, passed: Gradients) -> None:
        """Complete one block by the total that passes it."""
        total = passed[block.edge.output_nr]
        if self._pulling or total is None:
            return
        rows = self._waiting.pop(block)
        if self.derived is None and self._conclude is not None:
            self.residual = self.residual + self._rest(total, rows).abs().square().sum()
        if self.derived is not None and block in self._derivable:
            rows[self.derived] = self._rest(total, rows).div_(self.weights[self.derived])
        self.sums.add(block, rows)

    def _rest(self, total: Tensor, rows: Mapping[int, Tensor]) -> Tensor:
        """Return total - Σ w g as a new tensor."""
        rest = total.to_dense().clone()
        for t, row in rows.items():
            weight = self.weights[t]
            if isinstance(weight, Tensor):
                rest.sub_(row.to_dense() * weight)
            else:
                rest.sub_(row.to_dense(), alpha=weight)
        return rest


def _is_one(weight: Weight) -> bool:
    return not isinstance(weight, Tensor) and weight == 1


def plain(weight: Weight) -> Weight:
    """Return the weight without its graph."""
    return weight.detach() if isinstance(weight, Tensor) else weight


def is_zero(weight: Weight) -> bool:
    """Say whether a weight is zero, if that can be told without waiting for a device."""
    if isinstance(weight, Tensor):
        return weight.device.type == "cpu" and not weight.detach().any()
    return weight == 0


def vector(weights: Sequence[Weight], dtype: torch.dtype) -> Tensor:
    """Return the weights as one new tensor."""
    like = next((weight for weight in weights if isinstance(weight, Tensor)), None)
    if like is None:
        return torch.tensor(weights, dtype=dtype)
    return torch.stack([torch.as_tensor(plain(w)).to(like).reshape(()) for w in weights]).to(dtype)
