"""The trace of each task's Fisher information."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Any

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.examples.fisher import TraceEstimate, fisher_norms, fisher_trace
from trajlab.measure.examples.likelihood import Categorical, Likelihood
from trajlab.record.moment import Moment
from trajlab.record.probes.sampled import NO_DATA, Checks, Sampled, capture_shared
from trajlab.record.sample import Data
from trajlab.record.schedule import Every
from trajlab.store import Table, standard


class FisherTrace(Sampled):
    """Trace of the Fisher information of each task, with targets from the model's own prediction.

    Exact over up to 10 classes, labels or outputs, one draw an example beyond. The recorder needs
    ``predict=``.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure.
    data : iterable of batches, or mapping of str to iterable of batches
        The sample; one a task where tasks have inputs of their own.
    seed : int
        Seed of the sample's order where the loader shuffles, and of the sampled targets.
    """

    needs_task_losses = False
    needs_predict = True
    takes_complex = True

    def __init__(self, every: Every = "epoch", data: Data | None = None, *, seed: int = 0) -> None:
        super().__init__(every, data, seed)
        self._kinds: dict[str, str] = {}
        self._checks = Checks(seed)

    def table(self, moment: Moment) -> Table:
        """Declare ``fisher``."""
        likelihoods = [self._kinds.get(task, "") for task in moment.tasks]
        attributes = self.attributes(
            "per-example gradients", likelihood=likelihoods, **self._checks.attributes()
        )
        return replace(standard("fisher", task=moment.tasks), attributes=attributes)

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return ``trace`` and ``se``, each of shape (task,)."""
        sample = self.sample(moment)
        generator = torch.Generator().manual_seed(self._seed)
        norms: dict[str, list[Tensor]] = {}
        for entries in sample.rounds():
            for wanted, batch in entries:
                with capture_shared(moment) as capture:
                    predictions = self._predictions(moment, batch)
                for task in wanted:
                    if task in predictions:
                        norms.setdefault(task, []).append(
                            fisher_norms(
                                predictions[task],
                                moment.trainable,
                                capture.calls,
                                generator=generator,
                                check=self._checks[task],
                            )
                        )
        traces = [
            fisher_trace(norms[t]) if t in norms else TraceEstimate(nan, nan) for t in moment.tasks
        ]
        return {
            "trace": [trace.value for trace in traces],
            "se": [trace.se for trace in traces],
            "reason": ["" if task in norms else NO_DATA for task in moment.tasks],
        }

    def differentiated(
        self, moment: Moment, wanted: Sequence[str], batch: Any
    ) -> Mapping[str, Tensor]:
        """Return a loss of the model's own targets, for each task that the batch serves."""
        predictions = self._predictions(moment, batch)
        generator = torch.Generator().manual_seed(self._seed)
        return {
            task: next(iter(predictions[task].draws(generator)))[1]
            for task in wanted
            if task in predictions
        }

    def _predictions(self, moment: Moment, batch: Any) -> dict[str, Likelihood]:
        assert moment.predict is not None  # the recorder has seen to it
        predictions = {}
        for task, given in moment.predict(moment.model, batch).items():
            if isinstance(given, Tensor) and given.ndim < 2:
                raise TrajlabError(
                    f"predict gave shape {tuple(given.shape)} for task {task!r}; class logits are "
                    "(n, class); for other targets give probes.Bernoulli or probes.Gaussian"
                )
            predictions[task] = Categorical(given) if isinstance(given, Tensor) else given
            self._kinds[task] = type(predictions[task]).__name__
        return predictions
