"""How much the gradients of single examples scatter, for each task."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf, nan
from typing import Any, Literal

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.examples.noise import NoiseEstimate, NoiseOverBatches
from trajlab.measure.examples.norms import sample_norms
from trajlab.record import settings
from trajlab.record.moment import Moment
from trajlab.record.probes.sampled import NO_DATA, Checks, Sampled, capture_shared, losses_function
from trajlab.record.sample import Data
from trajlab.record.schedule import Every
from trajlab.store import Table, standard


class GradientNoise(Sampled):
    """Trace of the covariance of single examples' gradients ("coherence"), and the noise scale.

    Standard errors are the jackknife's over 10 groups of batches: give 10 batches or more. Holds 11
    gradients a task.

    Parameters
    ----------
    every, data, seed
        As for `Sampled`.
    method : "exact" or "two-batch"
        From the norm of every example's gradient; or, as in the paper, from gradients of equal
        batches and of all of them together (a shorter last batch is left out).
    population : int, optional
        Examples in the data set that the sample was drawn from, for the finite-population
        correction. By default the sample is the population ("exact"), or a draw from an infinite
        one ("two-batch").

    Raises
    ------
    TrajlabError
        If the method is another one.
    """

    takes_complex = True

    def __init__(
        self,
        every: Every = "epoch",
        data: Data | None = None,
        *,
        method: Literal["exact", "two-batch"] = "exact",
        population: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(every, data, seed)
        if method not in ("exact", "two-batch"):
            raise TrajlabError(f"method={method!r}; use 'exact' or 'two-batch'")
        self._exact = method == "exact"
        self._checks = Checks(seed)
        if population is not None:
            settings.whole("GradientNoise: population", population, 1)
        self._population = population

    def table(self, moment: Moment) -> Table:
        """Declare ``noise``."""
        population = "sample" if self._exact else "infinite"
        attributes = self.attributes(
            "per-example gradients" if self._exact else "two-batch",
            population=self._population or population,
            **(self._checks.attributes() if self._exact else {}),
        )
        errors = [f"{name}_se" for name in _NUMBERS]
        return replace(standard("noise", *errors, task=moment.tasks), attributes=attributes)

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return ``covariance_trace``, ``gradient_norm_sq``, …, and their errors, (task,) each."""
        sample, task_losses = self.sample(moment), losses_function(moment)
        gathered: dict[str, NoiseOverBatches] = {}
        sizes: dict[str, int] = {}
        for entries in sample.rounds():
            for wanted, batch in entries:
                with capture_shared(moment) as capture:
                    losses = sample.losses(wanted, batch, moment.model, task_losses)
                for task, found in losses.items():
                    size = len(found.sums)
                    if self._exact:
                        loss, weight = found.sums, float(found.counts.sum())
                        norms = sample_norms(
                            loss, moment.trainable, capture.calls, check=self._checks[task]
                        )
                        gradient = _gradient(loss.sum(), moment)
                    elif size >= sizes.setdefault(task, size):
                        gradient, weight = _gradient(found.mean, moment), 1.0
                        norms = torch.linalg.vector_norm(gradient, dtype=torch.float64)[None] ** 2
                    else:
                        continue
                    gathered.setdefault(task, NoiseOverBatches()).add(norms, gradient, weight)
        unknown = NoiseEstimate(nan, nan, nan)
        noise = [
            gathered[task].result(
                size=1 if self._exact else sizes[task],
                population=self._population or (None if self._exact else inf),
            )
            if task in gathered
            else (unknown, unknown)
            for task in moment.tasks
        ]
        row: dict[str, Any] = {
            f"{name}{suffix}": [getattr(pair[k], name) for pair in noise]
            for name in _NUMBERS
            for k, suffix in enumerate(("", "_se"))
        }
        return row | {
            "reason": [
                estimate.reason if task in gathered else NO_DATA
                for task, (estimate, _) in zip(moment.tasks, noise, strict=True)
            ]
        }


_NUMBERS = ("covariance_trace", "gradient_norm_sq", "noise_scale")


def _gradient(loss: Tensor, moment: Moment) -> Tensor:
    chosen = list(moment.trainable.values())
    gradients = (
        torch.autograd.grad(loss, chosen, retain_graph=True, materialize_grads=True)
        if loss.requires_grad
        else [torch.zeros_like(p) for p in chosen]
    )
    dense = [g.detach().to_dense().resolve_conj() for g in gradients]
    return torch.cat([(torch.view_as_real(g) if g.is_complex() else g).reshape(-1) for g in dense])
