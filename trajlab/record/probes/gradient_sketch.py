"""Sketches of the task gradients and of the weights."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.gram.products import inner_products
from trajlab.measure.gram.training_gram import TrainingGram
from trajlab.measure.graph import refuse_reentrant
from trajlab.measure.sums.processes import processes
from trajlab.measure.sums.sketch import Sketch
from trajlab.measure.sums.task_sums import TaskSums, task_gradient
from trajlab.measure.training_sketch import SketchSums
from trajlab.record import settings
from trajlab.record.moment import Moment
from trajlab.record.probes.gradients.compiled import walking_again
from trajlab.record.probes.gradients.scope import scaled_losses, weights
from trajlab.record.probes.probe import Probe, Row, Started
from trajlab.record.probes.reach import UNREACHED
from trajlab.record.schedule import Every
from trajlab.store import Table, standard

_COLUMNS = ("norm", "norm_se", "weights", "weights_norm")


class GradientSketch(Probe):
    """A linear sketch of each task's gradient and of the weights, with their norms.

    From the file alone, cosines between any two steps, tasks or runs follow, as long as size, seed
    and shared parameters are the same (`trajlab.analysis.conflict.sketches`). Sketches add up:
    where an update is made of several backward passes, or by several processes, they are those of
    the whole batch, and no gradient is kept or sent. Norms do not add up, so those of the task
    gradients are then the sketches' own, with their standard errors in ``norm_se``.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure. It costs a pull-back a task, but for one that `Recorder.backward` supplies.
    size : int
        Numbers in a sketch; a cosine c has the standard error (1 - c²) / √size.
    seed : int
        Seed of the sketch; runs that are to be compared need the same.

    Raises
    ------
    TrajlabError
        If the size is not positive.
    """

    needs_graph = True

    def __init__(self, every: Every = 100, *, size: int = 1024, seed: int = 0) -> None:
        super().__init__(every)
        self._size = settings.whole("GradientSketch: size", size, 1)
        self._seed = settings.seed("GradientSketch: seed", seed)
        self._shared: object = None
        self._sketch: Sketch | None = None
        self._sums: TaskSums | None = None
        self._meter: TrainingGram | None = None
        self._weights: Row = {}

    @property
    def survives_compilation(self) -> bool:
        """A compiled graph can be differentiated once more, if not twice."""
        return True

    def table(self, moment: Moment) -> Table:
        """Declare ``sketches``."""
        table = standard("sketches", *_COLUMNS, task=moment.tasks, k=range(self._size))
        attributes = {"kind_of_sketch": "fold by name", "size": self._size, "seed": self._seed}
        return replace(table, attributes=attributes)

    def measure(self, moment: Moment) -> Row:
        """Return ``sketch`` (task, k), ``norm`` (task,), ``weights`` (k,), ``weights_norm``."""
        sketch, own = self._sketched(moment)
        like = own["weights"]
        refuse_reentrant(moment.losses.values())
        sketches, norms = [], []
        reached = False
        for task in moment.tasks:
            loss = moment.losses.get(task)
            absent = torch.nan if loss is None else 0.0
            gradients = {} if loss is None else _gradient(loss, moment)
            reached |= bool(gradients)
            sketches.append(sketch(gradients) + absent)
            norms.append(_norm(gradients, like) + absent)
        if not reached:
            raise TrajlabError(UNREACHED)
        norm = torch.stack(norms)
        return {"sketch": torch.stack(sketches), "norm": norm, "norm_se": 0 * norm, **own}

    def start(self, moment: Moment) -> Started:
        """Pull back all tasks but the one that the training backward supplies."""
        sketch, own = self._sketched(moment)
        if self._meter is None or self._meter.parameters is not moment.parameters:
            made = partial(SketchSums, sketch)
            self._meter = TrainingGram(moment.model, moment.parameters, made)
        with walking_again():
            watch = self._meter.start(scaled_losses(moment), weights(moment))

        def row() -> Row:
            assert isinstance(watch.sums, SketchSums)
            if not watch.sums.reached:
                raise TrajlabError(UNREACHED)
            sketches, norm = (found / moment.loss_scale for found in watch.sums.sketched())
            return {"sketch": sketches, "norm": norm, "norm_se": 0 * norm, **own}

        return Started(row, watch)

    def adds_up(self, moment: Moment) -> bool:
        """Say whether gradients of several passes or processes make up the update."""
        return moment.passes > 1 or processes() > 1

    def add(self, moment: Moment) -> None:
        """Add the sketches of one pass."""
        if moment.first:
            sketch, self._weights = self._sketched(moment)
            zeros = {"sketch": torch.zeros_like(self._weights["weights"])}
            self._sums = TaskSums(
                len(moment.tasks), zeros, lambda g: {"sketch": sketch(g)}, together=True
            )
        assert self._sums is not None
        losses = [moment.losses.get(task) for task in moment.tasks]
        self._sums.add(
            losses, moment.parameters, share=1 / moment.passes, loss_scale=moment.loss_scale
        )

    def complete(self, moment: Moment, update: Mapping[str, Tensor]) -> Row:
        """Return the row of `measure`, of all passes and processes together."""
        assert self._sums is not None
        self._sums.average()
        if not self._sums.reached:
            raise TrajlabError(UNREACHED)
        sketch = self._sums.stacked("sketch")
        norm = torch.linalg.vector_norm(sketch, dim=1, dtype=torch.float64)
        error = norm / (2 * self._size) ** 0.5
        return {"sketch": sketch, "norm": norm, "norm_se": error, **self._weights}

    def _sketched(self, moment: Moment) -> tuple[Sketch, Row]:
        """Return what sketches, and the columns of the weights."""
        if not moment.parameters:
            raise TrajlabError(UNREACHED)
        if self._sketch is None or self._shared is not moment.parameters:
            self._shared = moment.parameters
            self._sketch = Sketch(moment.parameters, size=self._size, seed=self._seed)
        own = {name: parameter.detach() for name, parameter in moment.parameters.items()}
        sketch = self._sketch(own)
        return self._sketch, {"weights": sketch, "weights_norm": _norm(own, sketch)}


def _gradient(loss: Tensor, moment: Moment) -> dict[str, Tensor]:
    return task_gradient(loss, moment.parameters, loss_scale=moment.loss_scale)


def _norm(tensors: Mapping[str, Tensor], like: Tensor) -> Tensor:
    total = torch.zeros((), dtype=torch.float64, device=like.device)
    for tensor in tensors.values():
        total += inner_products([tensor])[0, 0].to(like.device)
    return total.sqrt()
