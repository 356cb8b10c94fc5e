"""The Gram matrix of the tasks' gradients."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from trajlab.errors import TrajlabError
from trajlab.measure.representation import representation_gram
from trajlab.measure.task_gram import TaskGram, group_by_layer, task_gram
from trajlab.measure.training_gram import TrainingGram
from trajlab.record.probes.probe import Moment, Probe, Row, Started
from trajlab.record.schedule import Every
from trajlab.store import Column, Table, standard

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
        How: exact products, by the cheapest formula that each layer allows.
    layers : sequence of str, optional
        The layers to measure, by qualified name; nothing below the lowest one is computed. By
        default all that own shared parameters; a subset has no total, and the table says so.
    scope : "parameters" or "representation"
        With respect to the shared parameters; or to the last tensor on which all losses depend,
        usually the trunk's output: nearly free, but another quantity, in a table of its own.

    Raises
    ------
    TrajlabError
        If an option has a value that there is not; or, when it measures, if a layer owns no shared
        parameter or the losses leave no common tensor.
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
        if method != "exact":
            raise TrajlabError(f"TaskGradients(method={method!r}) is not built; use 'exact'")
        if scope not in ("parameters", "representation"):
            raise TrajlabError(
                f"TaskGradients(scope={scope!r}) is unknown; use 'parameters' or 'representation'"
            )
        if scope == "representation" and layers is not None:
            raise TrajlabError("the representation has no layers; leave layers= out")
        self.uses_calls = scope == "parameters"
        self._scope = scope
        self._layers = None if layers is None else tuple(layers)
        self._shared: Mapping[str, nn.Parameter] | None = None
        self._chosen: dict[str, nn.Parameter] = {}
        self._meter = TrainingGram({})
        self._said = False

    def table(self, moment: Moment) -> Table:
        """Declare ``gradients``, or ``representation_gradients``."""
        tasks = list(moment.tasks)
        if self._scope == "representation":
            return Table(
                "representation_gradients",
                (
                    Column(
                        "gram",
                        ("step", "task", "other_task"),
                        description="inner products of the task gradients at the representation",
                    ),
                ),
                {"task": tasks, "other_task": tasks},
                {"method": "exact", "scope": "representation"},
            )
        layers = list(group_by_layer(self._wanted(moment)))
        table = standard("gradients", layer=layers, task=tasks).only("gram")
        complete = len(layers) == len(group_by_layer(moment.parameters))
        return replace(
            table, attributes={"method": "exact", "scope": "parameters", "complete": complete}
        )

    def measure(self, moment: Moment) -> Row:
        """Return ``gram``, shape (layer, task, other_task)."""
        losses = [moment.losses.get(task) for task in moment.tasks]
        if self._scope == "representation":
            return {"gram": representation_gram(losses)}
        return self._row(moment, task_gram(losses, self._wanted(moment), moment.calls))

    def start(self, moment: Moment) -> Started:
        """Pull back all tasks but the one that the training backward supplies."""
        if self._scope == "representation":
            return super().start(moment)
        wanted = self._wanted(moment)
        if self._meter.parameters is not wanted:
            self._meter = TrainingGram(wanted)
        losses = [moment.losses.get(task) for task in moment.tasks]
        weights = [moment.weights.get(task, 1.0) for task in moment.tasks]
        watch = self._meter.start(losses, weights, moment.calls)
        return Started(lambda: self._row(moment, watch.result()), watch)

    def _wanted(self, moment: Moment) -> Mapping[str, nn.Parameter]:
        """Return the shared parameters of the chosen layers; the same object for the same ones."""
        if self._shared is not moment.parameters:
            found = group_by_layer(moment.parameters)
            for layer in self._layers or ():
                if layer not in found:
                    raise TrajlabError(
                        f"layer {layer!r} owns no shared parameter; choose among {', '.join(found)}"
                    )
            self._shared = moment.parameters
            self._chosen = {
                name: moment.parameters[name]
                for layer, names in found.items()
                if self._layers is None or layer in self._layers
                for name in names
            }
        return self._chosen

    def _row(self, moment: Moment, found: TaskGram) -> Row:
        if moment.calls and not self._said and found.from_gradients:
            self._said = True
            _logger.info(
                "trajlab takes the task gradients' products from weight gradients in the layers "
                "%s; where a formula needs none, it is used",
                ", ".join(repr(layer) for layer in found.from_gradients),
            )
        return {"gram": found.gram}
