"""What a step on one task does to the loss of another."""

from collections.abc import Mapping
from math import nan
from typing import Any

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.affinity import task_affinity
from trajlab.measure.functional import evaluate_at
from trajlab.record import settings
from trajlab.record.loop.setup import Setup
from trajlab.record.moment import Moment
from trajlab.record.probes.sampled import Sampled, losses_function
from trajlab.record.sample import Data
from trajlab.record.schedule import Every
from trajlab.store import Column, Table


class TaskAffinity(Sampled):
    """Inter-task affinity: 1 − L_j(after a step on task i) / L_j(before), heads fixed.

    Parameters
    ----------
    every, data, seed
        As for `Sampled`.
    learning_rate : float, optional
        Learning rate of the gradient step; the optimizer's present one by default.
    """

    def __init__(
        self,
        every: Every = "epoch",
        data: Data | None = None,
        *,
        learning_rate: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(every, data, seed)
        if learning_rate is not None:
            settings.positive("TaskAffinity: learning_rate", learning_rate)
        self._learning_rate = learning_rate

    def check(self, setup: Setup) -> None:
        """Raise if it cannot measure in this loop, or lacks a learning rate."""
        super().check(setup)
        if self._learning_rate is None and setup.optimizer is None:
            raise TrajlabError(
                "TaskAffinity needs a learning rate; pass learning_rate=, or optimizer= to the "
                "recorder"
            )

    def table(self, moment: Moment) -> Table:
        """Declare ``affinity``."""
        column = Column(
            "affinity",
            ("step", "task", "other_task"),
            description="1 - loss of other_task after a step on task / before",
        )
        return Table(
            "affinity",
            (column,),
            {"task": moment.tasks, "other_task": moment.tasks},
            self.attributes("look-ahead", learning_rate=self._learning_rate or "optimizer"),
        )

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return ``affinity``, shape (task, other_task)."""
        sample, task_losses = self.sample(moment), losses_function(moment)
        rate = moment.learning_rate if self._learning_rate is None else self._learning_rate

        def losses(parameters: Mapping[str, Tensor]) -> list[Tensor]:
            affinity = evaluate_at(
                parameters, moment.model, lambda model: sample.mean_losses(model, task_losses)
            )
            return [affinity.get(task, torch.tensor(nan)) for task in moment.tasks]

        return {"affinity": task_affinity(losses, moment.trainable, learning_rate=rate)}
