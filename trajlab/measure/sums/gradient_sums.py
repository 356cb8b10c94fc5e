"""Task gradients that are added up: over micro-batches, and over processes."""

from collections.abc import Mapping

import torch
from torch import Tensor

from trajlab.measure.gram.products import inner_products, spread
from trajlab.measure.layers import group_by_layer
from trajlab.measure.sums.sketch import Sketch
from trajlab.measure.sums.task_sums import TaskSums, dense_gradient

_SIZE = 4096  # numbers in a layer's sketch; a cosine c then has the standard error (1 - c²) / 64
_SEED = 0
_BYTES = 4  # of a float32


class GradientSums(TaskSums):
    """Keeps each task's gradient, to be added up over the backward passes of one update.

    The Gram matrix of a sum is not the sum of Gram matrices, so what is kept are the gradients
    themselves, or a sketch of each layer's where those would take more than `memory`. Both are
    linear: they add up over passes and processes alike.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        What is differentiated for, by qualified name; of sharded ones, their whole shapes.
    tasks : int
        Number of tasks.
    memory : int
        Bytes that the gradients of all tasks may take together.

    Attributes
    ----------
    layers : tuple of str
        The layers, in the parameters' order.
    sketched : bool
        Whether sketches are kept instead of gradients.
    """

    def __init__(self, parameters: Mapping[str, Tensor], tasks: int, *, memory: int) -> None:
        grouped = group_by_layer(parameters)
        self.layers = tuple(grouped)
        numbers = tasks * sum(parameter.numel() for parameter in parameters.values())
        self.sketched = numbers * _BYTES > memory
        self._device = next(iter(parameters.values())).device
        self._layer_of = {name: layer for layer, names in grouped.items() for name in names}
        self._sketches = {
            layer: Sketch({name: parameters[name] for name in names}, size=_SIZE, seed=_SEED)
            for layer, names in (grouped.items() if self.sketched else ())
        }
        zeros = {layer: torch.zeros(_SIZE, device=self._device) for layer in self._sketches} or {
            name: dense_gradient(torch.zeros((), dtype=p.dtype, device=p.device)).expand(p.shape)
            for name, p in parameters.items()  # these take no memory
        }
        super().__init__(tasks, zeros, self._project, together=self.sketched)

    def gram(self) -> Tensor:
        """Return the inner products, float64, shape (layer, task, task); NaN if omitted."""
        shape = (len(self.layers), self._tasks, self._tasks)
        gram = torch.zeros(shape, dtype=torch.float64, device=self._device)
        for key in dict.fromkeys(key for rows in self.rows for key in rows):
            layer = self.layers.index(key if self.sketched else self._layer_of[key])
            present = [task for task, rows in enumerate(self.rows) if key in rows]
            products = inner_products([self.rows[task][key] for task in present])
            gram[layer] += spread(products, present, self._tasks).to(self._device)
        omitted = [task for task, present in enumerate(self.present) if not present]
        gram[:, omitted, :] = gram[:, :, omitted] = torch.nan
        return gram

    def dot(self, gradients: Mapping[str, Tensor]) -> Tensor:
        """Return each task's inner product with one gradient, float64, shape (task,)."""
        other = self._project({name: dense_gradient(g) for name, g in gradients.items()})
        products = torch.zeros(self._tasks, dtype=torch.float64, device=self._device)
        for task, rows in enumerate(self.rows):
            for key in rows.keys() & other.keys():
                products[task] += inner_products([rows[key], other[key]])[0, 1].to(self._device)
            if not self.present[task]:
                products[task] = torch.nan
        return products

    def _project(self, gradients: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return what is kept of gradients: themselves, or a sketch a layer."""
        if not self.sketched:
            return gradients
        reached = dict.fromkeys(self._layer_of[name] for name in gradients)
        return {layer: self._sketches[layer](gradients) for layer in reached}
