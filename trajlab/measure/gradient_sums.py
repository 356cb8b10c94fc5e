"""Task gradients that are added up: over micro-batches, and over processes."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trajlab.measure.processes import processes, sum_over_processes
from trajlab.measure.products import inner_products, spread
from trajlab.measure.sketch import Sketch
from trajlab.measure.task_gram import group_by_layer

_SIZE = 4096  # numbers in a layer's sketch; a cosine c then has the standard error (1 - c²) / 64
_SEED = 0
_BYTES = 4  # of a float32


class GradientSums:
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

    def __init__(self, parameters: Mapping[str, Tensor], tasks: int, memory: int) -> None:
        grouped = group_by_layer(parameters)
        self.layers = tuple(grouped)
        numbers = tasks * sum(parameter.numel() for parameter in parameters.values())
        self.sketched = numbers * _BYTES > memory
        self._zeros = {  # take no memory
            name: _at_least_single(torch.zeros((), dtype=p.dtype, device=p.device)).expand(p.shape)
            for name, p in parameters.items()
        }
        self._device = next(iter(parameters.values())).device
        self._layer_of = {name: layer for layer, names in grouped.items() for name in names}
        self._sketches = {
            layer: Sketch({name: parameters[name] for name in names}, _SIZE, _SEED)
            for layer, names in (grouped.items() if self.sketched else ())
        }
        self._tasks = tasks
        self.clear()

    def clear(self) -> None:
        """Begin another sum."""
        self._rows: list[dict[str, Tensor]] = [{} for _ in range(self._tasks)]
        self._present = [False] * self._tasks

    def add(
        self,
        losses: Sequence[Tensor | None],
        parameters: Mapping[str, Tensor],
        share: float = 1.0,
        loss_scale: float = 1.0,
    ) -> None:
        """Add the gradients of one pass; its graph is retained.

        Parameters
        ----------
        losses : sequence of Tensor or None
            One scalar a task; None for an omitted one.
        parameters : mapping of str to Tensor
            The leaves of this graph, by the names of the parameters; some may be missing.
        share : float
            What the gradients are multiplied by.
        loss_scale : float
            What the losses are multiplied by while they are differentiated, so that gradients of
            low precision do not vanish; the sums are without it.
        """
        wanted = {name: p for name, p in parameters.items() if p.requires_grad}
        for task, loss in enumerate(losses):
            if loss is None:
                continue
            self._present[task] = True
            if not loss.requires_grad or not wanted:
                continue
            found = torch.autograd.grad(
                loss,
                list(wanted.values()),
                grad_outputs=torch.full_like(loss, loss_scale),
                retain_graph=True,
                allow_unused=True,
            )
            gradients = {
                name: _at_least_single(gradient) * (share / loss_scale)
                for name, gradient in zip(wanted, found, strict=True)
                if gradient is not None
            }
            rows = self._rows[task]
            for key, value in self._project(gradients).items():
                rows[key] = rows[key] + value if key in rows else value

    def average(self) -> None:
        """Replace the sums by their mean over all processes, which all have to call this.

        A task that a process omits counts as zero there, as in the averaged training gradient.
        """
        if processes() == 1:
            return
        present = torch.tensor([float(p) for p in self._present], device=self._device)
        self._present = [p > 0 for p in sum_over_processes([present])[0].tolist()]
        keys = self._sketches or self._zeros
        for task, rows in enumerate(self._rows):
            whole = [rows.get(key, self._zero(key)) for key in keys]
            mean = [total / processes() for total in sum_over_processes(whole)]
            self._rows[task] = dict(zip(keys, mean, strict=True))

    def gram(self) -> Tensor:
        """Return the inner products, float64, shape (layer, task, task); NaN if omitted."""
        shape = (len(self.layers), self._tasks, self._tasks)
        gram = torch.zeros(shape, dtype=torch.float64, device=self._device)
        for key in dict.fromkeys(key for rows in self._rows for key in rows):
            layer = self.layers.index(key if self.sketched else self._layer_of[key])
            present = [task for task, rows in enumerate(self._rows) if key in rows]
            found = inner_products([self._rows[task][key] for task in present])
            gram[layer] += spread(found, present, self._tasks).to(self._device)
        omitted = [task for task, present in enumerate(self._present) if not present]
        gram[:, omitted, :] = gram[:, :, omitted] = torch.nan
        return gram

    def dot(self, gradients: Mapping[str, Tensor]) -> Tensor:
        """Return each task's inner product with one gradient, float64, shape (task,)."""
        other = self._project({name: _at_least_single(g) for name, g in gradients.items()})
        products = torch.zeros(self._tasks, dtype=torch.float64, device=self._device)
        for task, rows in enumerate(self._rows):
            for key in rows.keys() & other.keys():
                products[task] += inner_products([rows[key], other[key]])[0, 1].to(self._device)
            if not self._present[task]:
                products[task] = torch.nan
        return products

    def _project(self, gradients: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return what is kept of gradients: themselves, or a sketch a layer."""
        if not self.sketched:
            return gradients
        reached = dict.fromkeys(self._layer_of[name] for name in gradients)
        return {layer: self._sketches[layer](gradients) for layer in reached}

    def _zero(self, key: str) -> Tensor:
        if not self.sketched:
            return self._zeros[key]
        return torch.zeros(_SIZE, device=self._device)


def _at_least_single(gradient: Tensor) -> Tensor:
    dense = gradient.detach().to_dense()
    return dense.float() if dense.dtype in (torch.float16, torch.bfloat16) else dense
