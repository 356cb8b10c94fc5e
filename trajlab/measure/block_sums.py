"""The Gram matrix of each layer, added up from its blocks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trajlab.measure.blocks import Block, GradientBlock
from trajlab.measure.products import spread


@dataclass(frozen=True)
class TaskGram:
    """Inner products of task gradients, layer by layer.

    Attributes
    ----------
    layers : tuple of str
        Qualified names of the modules that directly own the parameters, in the parameters' order.
    gram : Tensor
        float64, shape (layer, task, task): ``gram[l, s, t]`` is the inner product of the gradients
        of tasks s and t with respect to the parameters of layer l. The sum over layers is the Gram
        matrix of the whole. An omitted task's row and column are NaN.
    from_gradients : tuple of str
        The layers of which at least one parameter took the general way, by its gradients; the
        others took a formula that computes none.
    """

    layers: tuple[str, ...]
    gram: Tensor
    from_gradients: tuple[str, ...]


class BlockSums:
    """Adds up blocks to the Gram matrix of each layer; holds nothing but their sums.

    Parameters
    ----------
    layers : iterable of str
        Their names.
    losses : sequence of Tensor or None
        One a task.
    device : torch.device
        Of the result.
    """

    def __init__(
        self,
        layers: Iterable[str],
        losses: Sequence[Tensor | None],
        device: torch.device,
    ) -> None:
        self._device = device
        self._found: dict[str, Tensor | None] = dict.fromkeys(layers)
        self._tasks = len(losses)
        self._omitted = [t for t, loss in enumerate(losses) if loss is None]
        self._from_gradients: set[str] = set()
        self._weights: Tensor | None = None
        self._lost: tuple[int, Tensor] | None = None

    def add(self, block: Block, rows: Mapping[int, Tensor]) -> None:
        """Add what the gradients of some tasks, by position, amount to at one block."""
        if isinstance(block, GradientBlock):
            self._from_gradients.add(block.layer)
        if not rows:
            return
        present = sorted(rows)
        found = block.gram([rows[t] for t in present]).to(self._device)
        found = spread(found, present, self._tasks)
        earlier = self._found[block.layer]
        self._found[block.layer] = found if earlier is None else earlier + found

    @property
    def from_gradients(self) -> tuple[str, ...]:
        """As in `TaskGram`."""
        return tuple(layer for layer in self._found if layer in self._from_gradients)

    def divide(self, weights: Tensor) -> None:
        """Take the rows that were added for gradients multiplied by these weights, (task,)."""
        self._weights = weights.to(self._device)

    def lose(self, task: int, lost: Tensor) -> None:
        """Give a task up as NaN if the flag says so; it may still be on its way from a device."""
        self._lost = (task, lost)

    def squared_norms(self) -> Tensor:
        """Return the sums' diagonal, (task,); before any division."""
        found = [found.diagonal() for found in self._found.values() if found is not None]
        return torch.stack(found).sum(0) if found else self._zero().diagonal()

    def result(self) -> TaskGram:
        """Return the sums: symmetric, omitted tasks NaN."""
        layers = [self._zero() if found is None else found for found in self._found.values()]
        gram = torch.stack(layers) if layers else self._zero()[None][:0]
        gram = (gram + gram.mT) / 2  # a product may round its triangles differently
        if self._weights is not None:
            gram /= self._weights * self._weights[:, None]
        if self._lost is not None:
            task, lost = self._lost
            gram[:, task].masked_fill_(lost, torch.nan)
            gram[:, :, task].masked_fill_(lost, torch.nan)
        if self._omitted:
            gram[:, self._omitted, :] = gram[:, :, self._omitted] = torch.nan
        return TaskGram(tuple(self._found), gram, self.from_gradients)

    def _zero(self) -> Tensor:
        return torch.zeros(self._tasks, self._tasks, dtype=torch.float64, device=self._device)
