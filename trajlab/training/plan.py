"""What one run trains, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from trajlab.training.models import Shape
from trajlab.training.portions import Share, keep, overlap
from trajlab.training.setting import Problem, Setting


@dataclass(frozen=True)
class Plan:
    """Everything that tells one run from another.

    Attributes
    ----------
    setting, condition
        What is trained.
    method
        How the tasks are joined, a name of `trajlab.training.methods.method`.
    seed
        Fixes data split, initial weights and batch order.
    epochs, batch_size
        An epoch is one pass over the largest task; smaller ones begin again.
    early_evaluations
        Evaluations within the first epoch, beside those at its ends: after the fractions
        ``2 ** (-k / 2)`` of its steps, k = 1, 2, …, this many.
    learning_rate, momentum, weight_decay
        Of the optimizer.
    options
        The method's own hyper-parameters.
    precision
        ``float32``, or ``bfloat16`` for automatic mixed precision.
    optimizer
        A name of `trajlab.training.optimization.OPTIMIZERS`.
    schedule
        Of the learning rate: ``name`` and options, as `make_schedule` takes them.
    epoch_steps
        Updates an epoch, in place of a pass; 0 for a pass. So a run is as long as it has steps.
    label_smoothing
        Share of a target's probability that is spread over all classes, in training only.
    width, depth, dropout
        Of the trunk, as `Shape` has them.
    share
        Of each task's training examples that are kept, or by name of task.
    overlap
        Share of two tasks' inputs that both have; None leaves the setting's tasks as they are.
    """

    setting: Setting
    condition: str
    method: str
    seed: int
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float = 0.0
    early_evaluations: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    optimizer: str = "sgd"
    schedule: Mapping[str, Any] = field(default_factory=lambda: {"name": "constant"})
    epoch_steps: int = 0
    label_smoothing: float = 0.0
    width: float = 1.0
    depth: int = 1
    dropout: float = 0.0
    share: Share = 1.0
    overlap: float | None = None

    def problem(self, root: Path | None = None) -> Problem:
        """Build what is trained.

        Parameters
        ----------
        root
            The data's folder, if it is not where the setting looks.

        Raises
        ------
        TrajlabError
            If data are missing, or the setting does not have what is asked for.
        """
        shape = Shape(self.width, self.depth, self.dropout)
        problem = keep(self.setting.problem(self.condition, self.seed, root, shape), self.share)
        return problem if self.overlap is None else overlap(problem, self.overlap)

    @property
    def metadata(self) -> dict[str, Any]:
        """What is stored with the run; an option of the method that has a run's name is told so."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        options = values.pop("options")
        own = {f"method_{key}" if key in values else key: value for key, value in options.items()}
        return values | {"setting": self.setting.name, "schedule": dict(self.schedule), **own}
