"""What one run trains, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from trajlab.training.setting import Setting


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
    epochs, batch_size, learning_rate, momentum, weight_decay
        Of stochastic gradient descent at a constant learning rate. An epoch is one pass over the
        largest task; smaller ones begin again.
    early_evaluations
        Evaluations within the first epoch, beside those at its ends: after the fractions
        ``2 ** (-k / 2)`` of its steps, k = 1, 2, …, this many.
    options
        The method's own hyper-parameters.
    precision
        ``float32``, or ``bfloat16`` for automatic mixed precision.
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

    @property
    def metadata(self) -> dict[str, Any]:
        """What is stored with the run."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        options = values.pop("options")
        return values | {"setting": self.setting.name, **options}
