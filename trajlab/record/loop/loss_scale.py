"""The scale that mixed precision puts on losses, and the updates that it skips."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from trajlab.errors import TrajlabError

_PASSES = 1024  # more than an update is made of


class LossScale:
    """Reads a `GradScaler`, and tells when it skipped an update because gradients overflowed.

    Parameters
    ----------
    scaler : GradScaler, optional
        Without one, or with one that is not enabled, the scale is 1 and nothing is skipped.

    Attributes
    ----------
    active : bool
        Whether losses are scaled.
    rows : deque
        The rows of the present update's passes.
    """

    def __init__(self, scaler: GradScaler | None) -> None:
        self.active = scaler is not None and scaler.is_enabled()
        self._scaler = scaler
        self._last = self.value
        self.rows: deque[Mapping[str, Any]] = deque(maxlen=_PASSES)

    @property
    def value(self) -> float:
        """The present scale."""
        return float(self._scaler.get_scale()) if self._scaler and self.active else 1.0

    def apply(self, total: Tensor) -> Tensor:
        """Return what is to be differentiated in the place of a loss."""
        return self._scaler.scale(total) if self._scaler and self.active else total

    def remember(self, row: Mapping[str, Any], first: bool) -> None:
        """Keep the row of a pass until it is known whether its update is made, and by what."""
        if first:
            self.rows.clear()
        self.rows.append(row)

    def skipped(self) -> list[Mapping[str, Any]]:
        """Return the rows of the update that was skipped since the last call, if one was.

        A scaler lowers its scale after an overflow, and only then.
        """
        before, self._last = self._last, self.value
        return list(self.rows) if self._last < before else []

    @staticmethod
    def skips_inside(optimizer: Optimizer) -> bool:
        """Say whether a fused optimizer has just skipped the update by itself."""
        found = getattr(optimizer, "found_inf", None)
        return found is not None and bool(found)


def check_scaler(scaler: object) -> None:
    """Raise if something else than a `GradScaler` is given.

    Raises
    ------
    TrajlabError
        Saying what to give.
    """
    if not isinstance(scaler, GradScaler | None):
        raise TrajlabError(
            f"scaler= is {scaler!r}; give the torch.amp.GradScaler that scales the losses, or "
            "leave it out"
        )
