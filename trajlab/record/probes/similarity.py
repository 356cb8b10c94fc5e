"""Similarity of the tasks' full gradients, without the noise of mini-batches."""

from collections.abc import Mapping, Sized
from dataclasses import replace
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.measure.similarity import CrossBatchSimilarity
from trajlab.record.loop.setup import Setup
from trajlab.record.moment import Moment
from trajlab.record.probes.sampled import Sampled, losses_function
from trajlab.record.sample import BatchLosses, Data
from trajlab.record.schedule import Every
from trajlab.store import Table, standard

_FEWEST = 3  # batches: the jackknife leaves one out, and relates the others


class GradientSimilarity(Sampled):
    """Noise-corrected cosine of task gradients, with its standard error and ceiling.

    Needs three or more batches, better 20 and more of at least 256 examples. Holds 11 gradients a
    task.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure.
    data : iterable of batches, or mapping of str to iterable of batches
        The sample; one a task where tasks have inputs of their own. Batches of equal position
        count as drawn together. The recorder needs ``task_losses=``.
    seed : int
        Seed of the sample's order where the loader shuffles.
    """

    def __init__(self, every: Every = "epoch", data: Data | None = None, *, seed: int = 0) -> None:
        super().__init__(every, data, seed)
        self._batches = 0

    def check(self, setup: Setup) -> None:
        """Raise if it cannot measure in this loop, or on so few batches."""
        super().check(setup)
        for task, batches in self.sampled_tasks(setup.tasks).items():
            if isinstance(batches, Sized) and len(batches) < _FEWEST:
                raise TrajlabError(
                    f"GradientSimilarity compares batches, and data= holds {len(batches)} of task "
                    f"{task!r}; give {_FEWEST} or more"
                )

    def table(self, moment: Moment) -> Table:
        """Declare ``similarity``."""
        attributes = self.attributes("cross-batch", batches=self._batches)
        table = standard("similarity", "noise_dominated", "reason", task=moment.tasks)
        return replace(table, attributes=attributes)

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return ``cosine`` and ``se``, (task, other_task), ``ceiling``, ``reason``, …, (task,)."""
        sample, task_losses = self.sample(moment), losses_function(moment)
        similarity = CrossBatchSimilarity(len(moment.tasks))
        for entries in sample.rounds():
            losses: dict[str, BatchLosses] = {}
            for wanted, batch in entries:
                losses |= sample.losses(wanted, batch, moment.model, task_losses)
            similarity.add(
                [
                    (losses[task].sums.sum(), float(losses[task].counts.sum()))
                    if task in losses
                    else None
                    for task in moment.tasks
                ],
                moment.trainable,
            )
        estimate = similarity.result()
        self._batches = estimate.batches
        return {
            "cosine": estimate.cosine,
            "se": estimate.se,
            "ceiling": estimate.ceiling,
            "cosine_to_update": estimate.cosine_to_update,
            "noise_dominated": estimate.noise_dominated,
            "reason": list(estimate.reasons),
        }
