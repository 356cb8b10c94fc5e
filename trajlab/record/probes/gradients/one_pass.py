"""Task gradients of one backward pass, with the help of the training backward."""

import logging
from collections.abc import Sequence

import torch

from trajlab.measure.gram.layer_sums import BlockSums, TaskGram
from trajlab.measure.gram.projection import Projection
from trajlab.measure.gram.task_gram import task_gram
from trajlab.measure.gram.training_gram import TrainingGram
from trajlab.record.moment import Moment
from trajlab.record.probes.gradients.compiled import walking_again
from trajlab.record.probes.gradients.scope import Scope, scaled_losses, weights
from trajlab.record.probes.probe import Row, Started
from trajlab.record.probes.reach import Reach

_logger = logging.getLogger("trajlab")


class OnePass:
    """Measures the gradients of the batch that is trained on.

    Parameters
    ----------
    scope : Scope
        With respect to what.
    size : int, optional
        Columns of the random projections; without them every product is exact.
    seed : int
        Seed of the projections.
    """

    def __init__(self, scope: Scope, size: int | None, seed: int) -> None:
        self._scope = scope
        self._size = size
        self._seed = seed
        self._meter: TrainingGram | None = None
        self._told = False
        self._reach = Reach()

    def measure(self, moment: Moment) -> Row:
        """Return ``gram`` (layer, task, other_task), and ``gram_se`` of projections."""
        parameters = self._scope.parameters(moment)
        with walking_again():
            gram = task_gram(scaled_losses(moment), parameters, projection=self._projection(moment))
        self._reach.check(moment, gram.reached)
        self._tell(gram.from_gradients)
        return self._row(gram, moment)

    def start(self, moment: Moment) -> Started:
        """Pull back all tasks but the one that the training backward supplies."""
        parameters = self._scope.parameters(moment)
        if self._meter is None or self._meter.parameters is not parameters:
            self._meter = TrainingGram(moment.model, parameters)
        losses, projection = scaled_losses(moment), self._projection(moment)
        with walking_again():
            watch = self._meter.start(losses, weights(moment), projection=projection)
        return Started(lambda: self._watched(watch.sums, moment), watch)

    def _watched(self, sums: BlockSums, moment: Moment) -> Row:
        """Return the row; exact products are finished when it is written."""
        self._reach.check(moment, sums.reached)
        self._tell(sums.from_gradients)
        if self._size is not None:
            return self._row(sums.result(), moment)
        scale = moment.loss_scale**2
        return {"gram": lambda: sums.result().gram / scale}

    def _row(self, gram: TaskGram, moment: Moment) -> Row:
        scale = moment.loss_scale**2
        row = {"gram": gram.gram / scale}
        if self._size is not None:
            error = gram.standard_error
            row["gram_se"] = torch.zeros_like(gram.gram) if error is None else error / scale
        return row

    def _projection(self, moment: Moment) -> Projection | None:
        """Return the random signs of this step, the same ones whenever it is trained."""
        if self._size is None:
            return None
        generator = torch.Generator().manual_seed((self._seed << 32) + moment.step)
        return Projection(self._size, generator)

    def _tell(self, from_gradients: Sequence[str]) -> None:
        if from_gradients and not self._told:
            self._told = True
            _logger.info(
                "trajlab takes the task gradients' products from weight gradients in the layers "
                "%s; where a formula needs none, it is used",
                ", ".join(repr(layer) for layer in from_gradients),
            )
