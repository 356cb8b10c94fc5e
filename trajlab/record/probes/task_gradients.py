"""The Gram matrix of the tasks' gradients."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.measure.task_gram import group_by_layer, task_gram
from trajlab.record.probes.probe import Moment, Probe
from trajlab.record.schedule import Every
from trajlab.store import Table, standard


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

    def table(self, moment: Moment) -> Table:
        """Declare ``gradients``."""
        table = standard(
            "gradients", layer=list(group_by_layer(moment.parameters)), task=moment.tasks
        ).only("gram")
        return replace(
            table, attributes={"method": "exact", "scope": "parameters", "complete": True}
        )

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return ``gram``, shape (layer, task, other_task)."""
        losses = [moment.losses.get(task) for task in moment.tasks]
        return {"gram": task_gram(losses, moment.parameters).gram}
