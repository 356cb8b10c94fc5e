"""Task gradients of which the training backward brings the sum."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.utils.hooks import RemovableHandle

from trajlab.measure.gram.blocks import Block
from trajlab.measure.gram.layer_sums import BlockSums
from trajlab.measure.gram.products import inner_products
from trajlab.measure.gram.segments import Segment
from trajlab.measure.gram.watch import (
    Arrivals,
    Gradients,
    Guarded,
    Watch,
    is_training,
    pulling_back,
)
from trajlab.measure.gram.weights import Weight, is_one, is_zero, plain
from trajlab.measure.graph import Graph


class Total(Watch):
    """Pulls back all tasks but one, and completes each block when the total passes it.

    Where each head's part of the gradient at the trunk's output can be told apart in the training
    backward, pull-backs begin there, in the midst of it; and further segments when it comes to
    them, so that the gradients of the earlier ones are freed.

    Parameters
    ----------
    graph : Graph
        Graph of the losses.
    segments : sequence of Segment
        Parts of it, from the losses down.
    losses : sequence of Tensor or None
        Scalars, one a task.
    weights : sequence of float or Tensor
        Weights of the losses in the total.
    sums : BlockSums
        Sums to which the blocks are added.
    guarded : callable
        Returns a context for pull-backs.
    derived : int, optional
        The task whose gradient is (total - Σ others) / weight; by default all are pulled back.
    looks_in : bool
        Whether what arrives at the trunk's output in the training backward is each task's gradient,
        times its weight; if not, all are pulled back from the losses.
    checks : bool
        Whether to compare the total with the weighted sum, if no task is derived.
    conclude : callable, optional
        Looks at this watch when the backward is over.

    Attributes
    ----------
    weights : list of float or Tensor
    derived : int or None
    residual : Tensor
        The squared norm of total - Σ w g, if it `checks`.
    """

    def __init__(
        self,
        graph: Graph,
        segments: Sequence[Segment],
        losses: Sequence[Tensor | None],
        weights: Sequence[Weight],
        sums: BlockSums,
        guarded: Guarded,
        *,
        derived: int | None = None,
        looks_in: bool = True,
        checks: bool = False,
        conclude: Callable[["Total"], None] | None = None,
    ) -> None:
        super().__init__(sums)
        self.residual: Tensor | float = 0.0
        self._checks = checks and derived is None
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
        first = segments[0].following if not segments[0].blocks else None
        self._lost = {t for t, weight in enumerate(weights) if is_zero(weight)}
        arrivals = Arrivals(graph, first) if first is not None and looks_in else None
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
        if not is_training():
            return
        rows, self._carried = self._carried, {}
        if self._arrivals is not None:
            for t, row in self._arrivals.rows.items():
                weight = self.weights[t]
                rows[t] = row if is_one(weight) else row / weight
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
        with pulling_back(), self._guarded():  # through nodes that are watched
            for t, (root, gradient) in starts.items():
                rows, following = segment.pull_back(root, gradient)
                for block, row in rows.items():
                    self._waiting[block][t] = row
                if following is not None:
                    self._carried[t] = following

    def _pass(self, block: Block, passed: Gradients) -> None:
        """Complete one block by the total that passes it."""
        total = passed[block.edge.output_nr]
        if total is None or not is_training():
            return
        rows = self._waiting.pop(block)
        if self._checks:
            self.residual = self.residual + inner_products([self._rest(total, rows)])[0, 0]
        if self.derived is not None and block in self._derivable:
            rest, weight = self._rest(total, rows), self.weights[self.derived]
            rows[self.derived] = rest if is_one(weight) else rest.div_(weight)
        self.sums.add(block, rows)

    def _rest(self, total: Tensor, rows: Mapping[int, Tensor]) -> Tensor:
        """Return total - Σ w g as a new tensor."""
        total = rest = total.to_dense()
        for t, row in rows.items():
            weight, row = self.weights[t], row.to_dense()
            into = None if rest is total else rest
            if isinstance(weight, Tensor):
                rest = torch.sub(rest, row * weight, out=into)
            else:
                rest = torch.sub(rest, row, alpha=weight, out=into)
        return total.clone() if rest is total else rest
