"""The largest eigenvalue of each task's Hessian."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Any

from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.curvature.product import Loss
from trajlab.measure.curvature.top_eigenvalue import TopEigenvalue, top_eigenvalue
from trajlab.measure.curvature.trace import HessianTrace, hessian_trace
from trajlab.measure.layers import group_by_layer
from trajlab.record import settings
from trajlab.record.moment import Moment
from trajlab.record.probes.second_order import SecondOrder
from trajlab.record.sample import Data
from trajlab.record.schedule import Every
from trajlab.store import Table, standard

_logger = logging.getLogger("trajlab")


class HessianTop(SecondOrder):
    """Largest eigenvalue of the Hessian of each task's unweighted loss, heads fixed.

    The smallest is recorded beside it where the same products settle it or on request, the trace on
    request.

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
        Seed of the start vector, of the trace's probes, and of the sample's order where the loader
        shuffles.
    trace_probes : int
        Random vectors for the trace, one product each; 0 for none. The trace on the Krylov space of
        the eigenvalue is known from its products already.
    by_layer : bool
        Whether to find the largest eigenvalue of each layer's own block too.
    warm_start : bool
        Whether to start from the vector found last. It helps only where the weights have moved
        little since.
    both_ends : bool
        Whether to go on until the smallest eigenvalue is settled too: two to three times as many
        products on trained networks.
    """

    needs_data = False  # it has the graph of the current batch

    def __init__(
        self,
        every: Every = 500,
        data: Data | None = None,
        *,
        seed: int = 0,
        trace_probes: int = 0,
        by_layer: bool = False,
        warm_start: bool = False,
        both_ends: bool = False,
    ) -> None:
        super().__init__(every, [] if data is None else data, seed)
        self.needs_graph = data is None
        self.needs_task_losses = data is not None
        self._probes = settings.whole("HessianTop: trace_probes", trace_probes)
        if trace_probes == 1:
            raise TrajlabError(
                "HessianTop(trace_probes=1) has no scatter to tell its error; give 0, or 2 or more"
            )
        self._by_layer = by_layer
        self._warm_start = warm_start
        self._both_ends = both_ends
        self._vectors: dict[str, Tensor] = {}
        self._warned = False

    def table(self, moment: Moment) -> Table:
        """Declare ``hessian``."""
        estimator = "lanczos, hutchinson deflated" if self._probes else "lanczos"
        attributes = (
            {
                "estimator": estimator,
                "parameters": "shared",
                "mode": "training",
                "seed": self._seed,
                "sample": "current batch",
            }
            if self.needs_graph
            else self.attributes(estimator)
        ) | {"trace_probes": self._probes, "warm_start": self._warm_start}
        columns = ["top", "bottom", "residual", "converged", "products", "reason"]
        labels: dict[str, Sequence[str]] = {"task": moment.tasks}
        if self._probes:
            columns += ["trace", "trace_se"]
        if self._by_layer:
            columns += ["layer_top"]
            labels["layer"] = list(group_by_layer(moment.parameters))
        table = standard("hessian", *columns, **labels).only(*columns)
        return replace(table, attributes=attributes)

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return ``top``, its ``residual``, …, each of shape (task,)."""
        if self.needs_graph:
            self.look(moment, moment.losses)
            return self._row(moment, moment.losses)
        with self.losses(moment) as losses:
            return self._row(moment, losses)

    def _row(self, moment: Moment, losses: Mapping[str, Loss]) -> Mapping[str, Any]:
        eigenvalues = [
            self._top(task, losses, moment.parameters, both_ends=self._both_ends)
            for task in moment.tasks
        ]
        self._say_once(moment, eigenvalues)
        row: dict[str, Any] = {
            "top": [result.value for result in eigenvalues],
            "bottom": [result.bottom for result in eigenvalues],
            "residual": [result.residual for result in eigenvalues],
            "converged": [result.converged for result in eigenvalues],
            "products": [result.products for result in eigenvalues],
            "reason": [result.reason for result in eigenvalues],
        }
        if self._probes:
            traces = [
                hessian_trace(
                    losses[task],
                    moment.parameters,
                    probes=self._probes,
                    krylov=result.krylov,
                    seed=self._seed,
                )
                if not result.reason
                else HessianTrace(nan, nan, 0)
                for task, result in zip(moment.tasks, eigenvalues, strict=True)
            ]
            row["trace"] = [trace.value for trace in traces]
            row["trace_se"] = [trace.se for trace in traces]
            row["products"] = [
                result.products + trace.products
                for result, trace in zip(eigenvalues, traces, strict=True)
            ]
        if self._by_layer:
            row["layer_top"] = [
                [
                    self._top(task, losses, {name: moment.parameters[name] for name in names}).value
                    for names in group_by_layer(moment.parameters).values()
                ]
                for task in moment.tasks
            ]
        if self._warm_start:
            for task, result in zip(moment.tasks, eigenvalues, strict=True):
                if result.vector is not None:
                    self._vectors[task] = result.vector
        return row

    def _top(
        self,
        task: str,
        losses: Mapping[str, Loss],
        parameters: Mapping[str, Tensor],
        both_ends: bool = False,
    ) -> TopEigenvalue:
        if task not in losses:
            return _OMITTED
        start = self._vectors.get(task)
        size = sum(p.numel() for p in parameters.values() if p.requires_grad)
        if start is not None and len(start) != size:  # of a layer, or after one was frozen
            start = None
        return top_eigenvalue(
            losses[task], parameters, seed=self._seed, both_ends=both_ends, start=start
        )

    def _say_once(self, moment: Moment, found: list[TopEigenvalue]) -> None:
        for task, result in zip(moment.tasks, found, strict=True):
            if result.reason and result is not _OMITTED and not self._warned:
                self._warned = True
                _logger.warning(
                    "trajlab has no sure number for the Hessian of task %s at step %d: %s%s",
                    task,
                    moment.step,
                    result.reason,
                    _HINT if self.needs_graph else "",
                )


_HINT = (
    "; pass HessianTop(data=...), and task_losses= to the recorder: it then computes attention "
    "without fused kernels, and falls back to torch.func"
)
_OMITTED = TopEigenvalue(
    float("nan"), float("nan"), False, float("nan"), 0, "no loss of this task was given"
)
