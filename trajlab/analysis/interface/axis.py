"""What runs are compared at equal values of: a recorded loss, or a clock such as tokens.

A run is placed by a *level*, which falls as training goes: the loss, or the inverse of the clock.
So whatever is done with losses (curves over their logarithm, the lowest that all runs share, the
onset from which down a gap holds) is done with clocks by the same code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlab.errors import TrajlabError

FloatArray = npt.NDArray[np.float64]

RUNNING = "losses"
LOSS = "loss"
TRAINING = "train/loss"
_WORDS = {"step": "steps", "epoch": "epochs", "wall_time": "seconds of wall time", "flops": "FLOPs"}


@dataclass(frozen=True)
class Axis:
    """What is matched.

    Attributes
    ----------
    x
        ``loss``, ``step``, or a clock: a column of one number a step that never falls, named alone
        (``tokens``) or after its table (``compute/flops``).
    loss
        The loss: ``train/loss``, another ``split/metric`` of which less is better, or ``losses``,
        the losses of the batches trained on, averaged over an epoch.

    Raises
    ------
    TrajlabError
        If `loss` is none of these.
    """

    x: str = LOSS
    loss: str = TRAINING

    def __post_init__(self) -> None:
        split, _, name = self.loss.partition("/")
        if self.loss != RUNNING and not (split and name):
            raise TrajlabError(
                f"loss {self.loss!r} is unknown; use split/metric, such as train/loss or "
                "validation/loss, or losses for those of the batches trained on"
            )

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Axis":
        """Return the axis that a row of a table was read on."""
        return cls(row.get("x") or LOSS, row.get("loss") or TRAINING)

    @property
    def is_loss(self) -> bool:
        """Whether runs are compared at equal loss, not at an equal clock."""
        return self.x == LOSS

    @property
    def columns(self) -> dict[str, str]:
        """The columns that name it in a table; of a clock no loss."""
        return {"x": self.x, "loss": self.loss if self.is_loss else ""}

    @property
    def short(self) -> str:
        """The words for it where there is little room: ``running training loss``."""
        return self.name.partition(" (")[0]

    @property
    def name(self) -> str:
        """The words for it: ``training loss``, ``tokens``."""
        if not self.is_loss:
            column = self.x.rpartition("/")[2]
            return _WORDS.get(column, column.replace("_", " "))
        if self.loss == RUNNING:
            return "running training loss (of the batches trained on, averaged over an epoch)"
        split, _, name = self.loss.partition("/")
        return f"{'training' if split == 'train' else split} {name.replace('_', ' ')}"

    def at(self, value: float) -> str:
        """Write a value: ``L = 0.022``, ``5e+09 tokens``."""
        return f"L = {value:.2g}" if self.is_loss else f"{value:.4g} {self.name}"

    def equal(self, value: float) -> str:
        """Write that it is equal, and where: ``equal training loss (L = 0.022)``."""
        return f"equal {self.name} ({self.at(value)})"

    def value(self, log_level: npt.ArrayLike) -> FloatArray:
        """Return the loss, or the clock, whose level has this log10."""
        return np.asarray(10.0 ** (np.asarray(log_level, float) * self._way))

    def log_level(self, value: npt.ArrayLike) -> FloatArray:
        """Return log10 of the level of a loss, or of a clock."""
        return np.asarray(np.log10(np.asarray(value, float)) * self._way)

    @property
    def column(self) -> tuple[str, str]:
        """The table and column of the loss."""
        if self.loss == RUNNING:
            return RUNNING, "loss"
        split, _, name = self.loss.partition("/")
        return f"evaluations/{split}", name

    @property
    def _way(self) -> int:
        return 1 if self.is_loss else -1


TRAINING_LOSS = Axis()
