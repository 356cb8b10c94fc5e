"""The Gram matrix of the tasks' gradients."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from trajlab.errors import TrajlabError
from trajlab.measure.task_gram import TaskGram, group_by_layer, task_gram
from trajlab.measure.training_gram import TrainingGram
from trajlab.record.probes.probe import Moment, Probe, Row, Started
from trajlab.record.schedule import Every
from trajlab.store import Table, standard

_logger = logging.getLogger("trajlab")


class TaskGradients(Probe):
    """Inner products of the unweighted task gradients of the training graph, layer by layer.

    Norms, cosines and the total over layers follow from them. They are gradients of the batch as it
    was trained on (training mode, dropout drawn); within one step, of its first backward pass.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure.
    method : "exact"
        How; one autograd pass a task.
    layers : None
        All layers that own shared parameters.
    scope : "parameters"
        With respect to the shared parameters.

    Raises
    ------
    TrajlabError
        If an option has a value that is not built yet.
    """

    needs_graph = True
    uses_calls = True

    def __init__(
        self,
        every: Every = 1,
        method: str = "exact",
        layers: Sequence[str] | None = None,
        scope: str = "parameters",
    ) -> None:
        super().__init__(every)
        for option, value, built in (
            ("method", method, "exact"),
            ("layers", layers, None),
            ("scope", scope, "parameters"),
        ):
            if value != built:
                raise TrajlabError(
                    f"TaskGradients({option}={value!r}) is not built yet; use {option}={built!r}"
                )
        self._meter: TrainingGram | None = None
        self._said = False

    def table(self, moment: Moment) -> Table:
        """Declare ``gradients``."""
        table = standard(
            "gradients", layer=list(group_by_layer(moment.parameters)), task=moment.tasks
        ).only("gram")
        return replace(
            table, attributes={"method": "exact", "scope": "parameters", "complete": True}
        )

    def measure(self, moment: Moment) -> Row:
        """Return ``gram``, shape (layer, task, other_task)."""
        losses = [moment.losses.get(task) for task in moment.tasks]
        return self._row(moment, task_gram(losses, moment.parameters, moment.calls))

    def start(self, moment: Moment) -> Started:
        """Pull back all tasks but the one that the training backward supplies."""
        if self._meter is None or self._meter.parameters is not moment.parameters:
            self._meter = TrainingGram(moment.parameters)
        losses = [moment.losses.get(task) for task in moment.tasks]
        weights = [moment.weights.get(task, 1.0) for task in moment.tasks]
        watch = self._meter.start(losses, weights, moment.calls)
        return Started(lambda: self._row(moment, watch.result()), watch)

    def _row(self, moment: Moment, found: TaskGram) -> Row:
        if moment.calls and not self._said and found.from_gradients:
            self._said = True
            _logger.info(
                "trajlab takes the task gradients' products from weight gradients in the layers "
                "%s; where a formula needs none, it is used",
                ", ".join(repr(layer) for layer in found.from_gradients),
            )
        return {"gram": found.gram}
