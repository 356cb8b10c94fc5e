"""The Gram matrix of each layer, added up from its blocks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trajlab.measure.gram.blocks import Block, GradientBlock
from trajlab.measure.gram.products import spread
from trajlab.measure.guard import full_precision


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
    reached : tuple of int
        Positions of the losses that reach any of the parameters; the others' gradients are zero.
    standard_error : Tensor or None
        Standard error of each entry of `gram` where some are estimates; None if all are exact.
    """

    layers: tuple[str, ...]
    gram: Tensor
    from_gradients: tuple[str, ...]
    reached: tuple[int, ...]
    standard_error: Tensor | None = None


class BlockSums:
    """Adds up blocks to the Gram matrix of each layer; holds nothing but their sums.

    Parameters
    ----------
    layers : iterable of str
        Names of the layers.
    losses : sequence of Tensor or None
        Scalars, one a task.
    device : torch.device
        Device of the result.

    Attributes
    ----------
    needs_gradients : bool
        Whether each block must be one parameter's gradient, and no formula will do.
    """

    needs_gradients = False

    def __init__(
        self,
        layers: Iterable[str],
        losses: Sequence[Tensor | None],
        device: torch.device,
    ) -> None:
        self._device = device
        self._grams: dict[str, Tensor | None] = dict.fromkeys(layers)
        self._variances: dict[str, Tensor | None] = dict.fromkeys(self._grams)
        self._tasks = len(losses)
        self._omitted = [t for t, loss in enumerate(losses) if loss is None]
        self._from_gradients: set[str] = set()
        self._reached: set[int] = set()
        self._weights: Tensor | None = None
        self._lost: tuple[int, Tensor] | None = None

    def add(self, block: Block, rows: Mapping[int, Tensor]) -> None:
        """Add what the gradients of some tasks, by position, amount to at one block."""
        if not rows:
            return
        if isinstance(block, GradientBlock):
            self._from_gradients.add(block.layer)
        present = sorted(rows)
        self._reached.update(present)
        with full_precision(rows[present[0]].device):
            products, variance = block.estimate([rows[t] for t in present])
        self._add(self._grams, block.layer, products, present)
        if variance is not None:
            self._add(self._variances, block.layer, variance, present)

    @property
    def from_gradients(self) -> tuple[str, ...]:
        """As in `TaskGram`."""
        return tuple(layer for layer in self._grams if layer in self._from_gradients)

    @property
    def reached(self) -> tuple[int, ...]:
        """As in `TaskGram`."""
        return tuple(sorted(self._reached))

    def divide(self, weights: Tensor) -> None:
        """Take the rows that were added for gradients multiplied by these weights, (task,)."""
        self._weights = weights.to(self._device)

    def lose(self, task: int, lost: Tensor) -> None:
        """Give a task up as NaN if the flag says so; it may still be on its way from a device."""
        self._lost = (task, lost)

    def squared_norms(self) -> Tensor:
        """Return the sums' diagonal, (task,); before any division."""
        diagonals = [gram.diagonal() for gram in self._grams.values() if gram is not None]
        return torch.stack(diagonals).sum(0) if diagonals else self._zero().diagonal()

    def result(self) -> TaskGram:
        """Return the sums: symmetric, omitted tasks NaN."""
        estimated = any(variance is not None for variance in self._variances.values())
        return TaskGram(
            tuple(self._grams),
            self._finish(self._grams),
            self.from_gradients,
            self.reached,
            self._finish(self._variances, torch.sqrt) if estimated else None,
        )

    def _add(
        self, sums: dict[str, Tensor | None], layer: str, products: Tensor, present: Sequence[int]
    ) -> None:
        products = spread(products.to(self._device), present, self._tasks)
        earlier = sums[layer]
        sums[layer] = products if earlier is None else earlier + products

    def _finish(
        self, sums: Mapping[str, Tensor | None], function: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Return the sums of all layers: symmetric, divided, what is lost or omitted NaN."""
        grams = [self._zero() if gram is None else gram for gram in sums.values()]
        gram = torch.stack(grams) if grams else self._zero()[None][:0]
        gram = (gram + gram.mT) / 2  # a product may round its triangles differently
        if function is not None:
            gram = function(gram)
        if self._weights is not None:
            weights = self._weights if function is None else self._weights.abs()
            gram /= weights * weights[:, None]
        if self._lost is not None:
            task, lost = self._lost
            gram[:, task].masked_fill_(lost, torch.nan)
            gram[:, :, task].masked_fill_(lost, torch.nan)
        if self._omitted:
            gram[:, self._omitted, :] = gram[:, :, self._omitted] = torch.nan
        return gram

    def _zero(self) -> Tensor:
        return torch.zeros(self._tasks, self._tasks, dtype=torch.float64, device=self._device)
