"""The largest eigenvalue of each task's Hessian."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trajlab.measure.hessian import TopEigenvalue, top_eigenvalue
from trajlab.record.probes.probe import Moment, Probe
from trajlab.record.sample import Data, Sample
from trajlab.record.schedule import Every
from trajlab.store import Table, standard

_logger = logging.getLogger("trajlab")


class HessianTop(Probe):
    """Largest eigenvalue of the Hessian of each task's unweighted loss, heads fixed.

    The smallest is recorded beside it where the same products settle it.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure.
    data : iterable of batches, or mapping of str to iterable of batches, optional
        A fixed sample: a loader or a list of batches, one a task where tasks have inputs of their
        own. It is drawn once and kept with its graph during a measurement, so pass what fits into
        memory. The model is then in evaluation mode, and the recorder needs ``task_losses=``.
        By default, the graph of the current batch, in the mode of training.
    seed : int
        Of the start vector, and of the sample's order where the loader shuffles.
    """

    def __init__(self, every: Every = 500, data: Data | None = None, seed: int = 0) -> None:
        super().__init__(every)
        self.needs_graph = data is None
        self.needs_task_losses = data is not None
        self._data = data
        self._seed = seed
        self._sample: Sample | None = None
        self._warned = False

    def table(self, moment: Moment) -> Table:
        """Declare ``hessian``."""
        attributes = {
            "estimator": "lanczos",
            "parameters": "shared",
            "mode": "training" if self._sample is None else "evaluation",
            "seed": self._seed,
            **({"sample": "current batch"} if self._sample is None else self._sample.identity),
        }
        table = standard("hessian", task=moment.tasks).only(
            "top", "bottom", "residual", "converged", "products", "reason"
        )
        return replace(table, attributes=attributes)

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return ``top``, its ``residual``, …, each of shape (task,)."""
        losses = moment.losses
        if self._data is not None:
            assert moment.task_losses is not None  # the recorder has seen to it
            if self._sample is None:
                self._sample = Sample(self._data, moment.tasks, self._seed)
            moment.model.eval()
            losses = self._sample.mean_losses(moment.model, moment.task_losses)
        found = [
            top_eigenvalue(losses[task], moment.parameters, seed=self._seed)
            if task in losses
            else _OMITTED
            for task in moment.tasks
        ]
        self._say_once(moment, found)
        return {
            "top": [result.value for result in found],
            "bottom": [result.bottom for result in found],
            "residual": [result.residual for result in found],
            "converged": [result.converged for result in found],
            "products": [result.products for result in found],
            "reason": [result.reason for result in found],
        }

    def _say_once(self, moment: Moment, found: list[TopEigenvalue]) -> None:
        for task, result in zip(moment.tasks, found, strict=True):
            if result.reason and result is not _OMITTED and not self._warned:
                self._warned = True
                _logger.warning(
                    "trajlab cannot measure the Hessian of task %s at step %d: %s; if an operation "
                    "cannot be differentiated twice, pass HessianTop(data=...) and task_losses=fn "
                    "that computes without it, for attention under "
                    "torch.nn.attention.sdpa_kernel(SDPBackend.MATH)",
                    task,
                    moment.step,
                    result.reason,
                )


_OMITTED = TopEigenvalue(
    float("nan"), float("nan"), False, float("nan"), 0, "no loss of this task was given"
)
