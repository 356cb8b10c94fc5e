"""Conflict between gradients of examples, beside that between gradients of tasks."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trajlab.measure.examples.conflict import example_gradients, relate
from trajlab.measure.examples.norms import refuse_batch_statistics
from trajlab.record import settings
from trajlab.record.moment import Moment
from trajlab.record.probes.sampled import Sampled, losses_function
from trajlab.record.sample import Data
from trajlab.record.schedule import Every
from trajlab.store import Column, Table

_PAIR = ("step", "size", "task", "other_task")
_OF = {
    "": "of different examples: of one task where task and other_task are the same",
    "same_": "of the same examples in two tasks with shared inputs",
}
_WHAT = {
    "cosine": "mean cosine of two gradients",
    "negative": "share of cosines below 0",
    "magnitude": "mean of 2|a||b| / (|a|^2 + |b|^2)",
}


class ExampleConflict(Sampled):
    """Cosines and magnitudes of gradients of single examples, within a task and between tasks.

    Both at equal batch sizes: a gradient of ``sizes`` examples is noisier than one of many, so only
    gradients of as many examples can be compared. Takes one backward pass of a batch an example,
    and holds one gradient an example and task: give a few hundred examples in small batches.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure.
    data : iterable of batches, or mapping of str to iterable of batches
        The sample; one a task where tasks have inputs of their own. The recorder needs
        ``task_losses=``.
    sizes : sequence of int
        Examples whose mean gradient is compared with that of as many others.
    seed : int
        Seed of the sample's order where the loader shuffles.
    """

    def __init__(
        self,
        every: Every = "epoch",
        data: Data | None = None,
        *,
        sizes: Sequence[int] = (1, 16),
        seed: int = 0,
    ) -> None:
        super().__init__(every, data, seed)
        each = partial(settings.whole, least=1)
        self._sizes = settings.listed("ExampleConflict: sizes", sizes, each)

    def table(self, moment: Moment) -> Table:
        """Declare ``example_conflict``."""
        columns = [
            Column(f"{of}{name}", _PAIR, description=f"{what}, {whose}")
            for of, whose in _OF.items()
            for name, what in _WHAT.items()
        ]
        zero = Column("zero", _PAIR[:-1], "int64", description="gradients of length 0")
        tasks = list(moment.tasks)
        return Table(
            "example_conflict",
            (*columns, zero),
            {"size": list(self._sizes), "task": tasks, "other_task": tasks},
            self.attributes("gradients of single examples"),
        )

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return cosines, shares of negative ones and magnitudes, (size, task, other_task)."""
        sample, task_losses = self.sample(moment), losses_function(moment)
        refuse_batch_statistics(moment.model)
        rows: dict[str, list[Tensor]] = {}
        aligned = True
        for entries in sample.rounds():
            aligned &= len(entries) == 1 and set(entries[0][0]) == set(moment.tasks)
            for wanted, batch in entries:
                for task, losses in sample.losses(wanted, batch, moment.model, task_losses).items():
                    found = example_gradients(losses.sums, moment.trainable)
                    rows.setdefault(task, []).append(found)
        gradients = [torch.cat(rows[task]) if task in rows else None for task in moment.tasks]
        related = relate(gradients, self._sizes, aligned=aligned)
        row: dict[str, Any] = {"zero": related.zero}
        for of, pairs in {"": related.apart, "same_": related.same}.items():
            row |= {f"{of}{name}": getattr(pairs, name) for name in _WHAT}
        return row
