"""Sketches and norms of task gradients, added up block by block around the training backward."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from trajlab.measure.gram.blocks import Block
from trajlab.measure.gram.layer_sums import BlockSums
from trajlab.measure.gram.products import inner_products
from trajlab.measure.sums.sketch import Sketch


class SketchSums(BlockSums):
    """Adds up sketches, for a `TrainingGram` that is made with it; holds no gradient.

    Parameters
    ----------
    sketch : Sketch
        What sketches.
    layers, losses, device
        As for `BlockSums`.
    """

    needs_gradients = True

    def __init__(
        self,
        sketch: Sketch,
        layers: Iterable[str],
        losses: Sequence[Tensor | None],
        device: torch.device,
    ) -> None:
        super().__init__(layers, losses, device)
        self._sketch = sketch
        self._sketches = torch.zeros(len(losses), sketch.size, device=device)
        self._squares = torch.zeros(len(losses), dtype=torch.float64, device=device)

    def add(self, block: Block, rows: Mapping[int, Tensor]) -> None:
        """Add the sketches of some tasks' gradients, by position, at one block of one parameter."""
        if not rows:
            return
        (name,) = block.parameters
        self._reached.update(rows)
        for (task, row), part in zip(
            rows.items(), self._sketch.part(name, [*rows.values()]), strict=True
        ):
            self._sketches[task] += part.to(self._device)
            self._squares[task] += inner_products([row])[0, 0].to(self._device)

    def squared_norms(self) -> Tensor:
        """Return the squared norms, (task,); before any division."""
        return self._squares

    def sketched(self) -> tuple[Tensor, Tensor]:
        """Return sketches (task, size) and norms (task,), NaN for what is lost or omitted."""
        sketches, norms = self._sketches.clone(), self._squares.sqrt()
        if self._weights is not None:
            sketches /= self._weights[:, None]
            norms /= self._weights.abs()
        missing = torch.zeros_like(norms, dtype=torch.bool)
        missing[self._omitted] = True
        if self._lost is not None:
            task, lost = self._lost
            missing[task] |= lost
        return (
            sketches.masked_fill_(missing[:, None], torch.nan),
            norms.masked_fill_(missing, torch.nan),
        )
