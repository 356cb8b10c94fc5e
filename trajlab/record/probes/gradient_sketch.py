"""Sketches of the task gradients and of the weights."""

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.sketch import Sketch
from trajlab.record.probes.probe import Moment, Probe, Row
from trajlab.record.schedule import Every
from trajlab.store import Column, Table


class GradientSketch(Probe):
    """A linear sketch of each task's gradient and of the weights, with their exact norms.

    From the file alone, cosines between any two steps, tasks, runs or ranks follow, as long as
    size, seed and shared parameters are the same (`trajlab.analysis.sketch_similarity`). Sketches
    of gradients add up over micro-batches and ranks; Gram matrices do not.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure. It costs a pull-back a task.
    size : int
        Numbers in a sketch; a cosine c has the standard error (1 - c²) / √size.
    seed : int
        Of the sketch; runs that are to be compared need the same.

    Raises
    ------
    TrajlabError
        If the size is not positive.
    """

    needs_graph = True

    def __init__(self, every: Every = 100, size: int = 1024, seed: int = 0) -> None:
        super().__init__(every)
        if size < 1:
            raise TrajlabError(f"GradientSketch(size={size}) holds nothing; give a positive size")
        self._size = size
        self._seed = seed
        self._shared: object = None
        self._sketch: Sketch | None = None

    @property
    def survives_compilation(self) -> bool:
        """A compiled graph can be differentiated once more, if not twice."""
        return True

    def table(self, moment: Moment) -> Table:
        """Declare ``sketches``."""
        tasks, k = list(moment.tasks), list(range(self._size))
        return Table(
            "sketches",
            (
                Column("sketch", ("step", "task", "k"), "float32", "", "sketched task gradient"),
                Column("norm", ("step", "task"), description="exact norm of the task gradient"),
                Column("weights", ("step", "k"), "float32", "", "sketched shared weights"),
                Column("weights_norm", description="exact norm of the shared weights"),
            ),
            {"task": tasks, "k": k},
            {"kind_of_sketch": "fold", "size": self._size, "seed": self._seed},
        )

    def measure(self, moment: Moment) -> Row:
        """Return ``sketch`` (task, k), ``norm`` (task,), ``weights`` (k,), ``weights_norm``."""
        if self._sketch is None or self._shared is not moment.parameters:
            self._shared = moment.parameters
            self._sketch = Sketch(moment.parameters, self._size, self._seed)
        weights = {name: parameter.detach() for name, parameter in moment.parameters.items()}
        sketches, norms = [], []
        like = self._sketch(weights)
        for task in moment.tasks:
            loss = moment.losses.get(task)
            gradients = _gradients(loss, moment)
            absent = torch.nan if loss is None else 0.0
            sketches.append(self._sketch(gradients) + absent)
            norms.append(_norm(gradients, like) + absent)
        return {
            "sketch": torch.stack(sketches),
            "norm": torch.stack(norms),
            "weights": like,
            "weights_norm": _norm(weights, like),
        }


def _gradients(loss: Tensor | None, moment: Moment) -> dict[str, Tensor]:
    wanted = {n: p for n, p in moment.parameters.items() if p.requires_grad}
    if loss is None or not loss.requires_grad or not wanted:
        return {}
    found = torch.autograd.grad(loss, list(wanted.values()), retain_graph=True, allow_unused=True)
    return {name: g.to_dense() for name, g in zip(wanted, found, strict=True) if g is not None}


def _norm(tensors: dict[str, Tensor], like: Tensor) -> Tensor:
    total = torch.zeros((), dtype=torch.float64, device=like.device)
    for tensor in tensors.values():
        total += torch.linalg.vector_norm(tensor, dtype=torch.float64).square().to(like.device)
    return total.sqrt()
