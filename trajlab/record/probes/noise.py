"""How much the gradients of single examples scatter, for each task."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf, nan
from typing import Any, Literal

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.noise import GradientNoise as Noise
from trajlab.measure.noise import gradient_noise
from trajlab.measure.sample_norms import sample_norms
from trajlab.record.probes.probe import Moment
from trajlab.record.probes.sampled import NO_DATA, Sampled, capture_shared, losses_function
from trajlab.record.sample import BatchLosses, Data
from trajlab.record.schedule import Every
from trajlab.store import Table, standard


class GradientNoise(Sampled):
    """Trace of the covariance of single examples' gradients ("coherence"), and the noise scale.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure.
    data : iterable of batches, or mapping of str to iterable of batches
        The sample; one a task where tasks have inputs of their own. The recorder needs
        ``task_losses=``.
    method : "exact" or "two-batch"
        From the norm of every example's gradient; or, as in the paper, from gradients of equal
        batches and of all of them together (a shorter last batch is left out).
    population : int, optional
        Examples in the data set that the sample was drawn from, for the finite-population
        correction. By default the sample is the population ("exact"), or a draw from an infinite
        one ("two-batch").
    seed : int
        Of the sample's order where the loader shuffles.

    Raises
    ------
    TrajlabError
        If an option has no such value.
    """

    def __init__(
        self,
        every: Every,
        data: Data,
        method: Literal["exact", "two-batch"] = "exact",
        population: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(every, data, seed)
        if method not in ("exact", "two-batch"):
            raise TrajlabError(f"method={method!r}; use 'exact' or 'two-batch'")
        self._exact = method == "exact"
        self._population = population

    def table(self, moment: Moment) -> Table:
        """Declare ``noise``."""
        population = "sample" if self._exact else "infinite"
        attributes = self.attributes(
            "per-example gradients" if self._exact else "two-batch",
            population=self._population or population,
        )
        return replace(standard("noise", task=moment.tasks), attributes=attributes)

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return ``covariance_trace``, ``gradient_norm_sq`` and ``noise_scale``, (task,) each."""
        sample, task_losses = self.sample(moment), losses_function(moment)
        gathered: dict[str, _Gathered] = {}
        for entries in sample.rounds():
            for wanted, batch in entries:
                with capture_shared(moment) as capture:
                    losses = sample.losses(wanted, batch, moment.model, task_losses)
                for task, found in losses.items():
                    calls = capture.calls if self._exact else None
                    gathered.setdefault(task, _Gathered(self._exact)).add(found, moment, calls)
        noise = [
            gathered[task].noise(self._population) if task in gathered else Noise(nan, nan, nan)
            for task in moment.tasks
        ]
        return {
            "covariance_trace": [found.covariance_trace for found in noise],
            "gradient_norm_sq": [found.gradient_norm_sq for found in noise],
            "noise_scale": [found.noise_scale for found in noise],
            "reason": ["" if task in gathered else NO_DATA for task in moment.tasks],
        }


class _Gathered:
    """Squared norms of one task's gradients, and their sum."""

    def __init__(self, exact: bool) -> None:
        self._exact = exact
        self._norms: list[Tensor] = []
        self._total: list[Tensor] = []
        self._size = 0
        self._examples = 0
        self._count = 0.0

    def add(self, losses: BatchLosses, moment: Moment, calls: Any) -> None:
        n = len(losses.sums)
        self._size = self._size or n
        if not self._exact and n < self._size:
            return
        if self._exact:
            loss, weight = losses.sums, float(losses.counts.sum())
            self._norms.append(sample_norms(loss, moment.trainable, calls).cpu())
        else:
            loss, weight = losses.mean, 1.0
        chosen = list(moment.trainable.values())
        gradients = (
            torch.autograd.grad(loss.sum(), chosen, retain_graph=True, materialize_grads=True)
            if loss.requires_grad
            else [torch.zeros_like(p) for p in chosen]
        )
        gradients = [g.detach().to_dense() for g in gradients]
        if not self._exact:
            self._norms.append(_norm_sq(gradients)[None])
        self._total = [
            t + g
            for t, g in zip(self._total or map(torch.zeros_like, gradients), gradients, strict=True)
        ]
        self._examples += n
        self._count += weight

    def noise(self, population: int | None) -> Noise:
        n = self._examples
        # each example's share, scaled so that the mean over examples is the loss
        scale = (n / self._count) ** 2 if self._exact else 1.0
        small = torch.cat(self._norms).mean().item() * scale
        large = _norm_sq(self._total).item() / self._count**2
        unknown = n if self._exact else inf
        return gradient_noise(
            small, 1 if self._exact else self._size, large, n, population or unknown
        )


def _norm_sq(gradients: list[Tensor]) -> Tensor:
    return torch.stack([g.double().square().sum().cpu() for g in gradients]).sum()
