"""Task gradients that come apart in the training backward by themselves."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from trajlab.measure.gram.blocks import Block
from trajlab.measure.gram.layer_sums import BlockSums
from trajlab.measure.gram.segments import Segment
from trajlab.measure.gram.watch import Arrivals, Guarded, Watch, is_training
from trajlab.measure.gram.weights import Weight, is_one, is_zero, vector


class Contributions(Watch):
    """Tells apart what each task contributes to each block's gradient in the one backward.

    A task whose weight is zero contributes nothing that could be seen, and is pulled back.

    Parameters
    ----------
    arrivals : dict of Block to Arrivals
        What is measured; all separable.
    losses, weights, sums, guarded
        As for `trajlab.measure.gram.watch_total.Total`.
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
        if not all(is_one(weight) for weight in seen):
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
        if is_training():
            self.sums.add(block, self._arrivals.pop(block).rows)
