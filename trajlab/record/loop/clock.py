"""What step and what epoch it is."""

from collections.abc import Callable
from operator import index
from typing import Any
from weakref import WeakMethod

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.store import Trajectory


class Clock:
    """Counts optimizer updates, the backward passes between them, and epochs.

    A step is an optimizer update completed: what is measured at step k was measured before update
    k, so the first step is 0. Without an optimizer to watch, every pass is one step.

    Parameters
    ----------
    watches : bool
        Whether an optimizer is watched; without, every pass counts.
    on_update : method
        Called after each update, before the step advances, as long as its object lives.

    Attributes
    ----------
    step : int
        Updates completed.
    micro_step : int
        Number of the current pass within the step, from 0.
    first : bool
        Whether the current pass is the first one of an update.
    epoch : int
        Epochs completed: counted by `evaluated`, or as `set_epoch` said.
    trained_passes : int
        Backward passes so far.
    boundary : int
        Epoch boundaries so far, the beginning of training not counted.
    """

    def __init__(self, watches: bool, on_update: Callable[[], None]) -> None:
        self.step = 0
        self.micro_step = 0
        self.first = True
        self.epoch = 0
        self.boundary = 0
        self.trained_passes = 0
        self._counts_epochs = True
        self._counts_passes = not watches
        self._on_update = WeakMethod(on_update)  # the optimizer must not keep a recorder alive
        self._passes = 0  # of the present update
        self._last_pass = -1
        self._trained = False

    def next_step(self, passes: int = 1) -> int:
        """Return the step of the next pass, right after one of so many that make an update."""
        return self.step if self._counts_passes or self._passes < passes else self.step + 1

    def begin_pass(self, step: int | None = None) -> None:
        """Begin a backward pass; `step` corrects the count.

        Raises
        ------
        TrajlabError
            If the step is no count.
        """
        self.correct(step)
        self.trained_passes += 1
        if self.step != self._last_pass:
            self.micro_step, self._passes = 0, 0
        else:
            self.micro_step += 1
        self.first = self._passes == 0
        self._passes += 1
        self._last_pass = self.step

    def correct(self, step: int | None) -> None:
        """Set the step, unless it is None.

        Raises
        ------
        TrajlabError
            If it is no count.
        """
        if step is not None:
            self.step = _count(step, "step")

    def retry(self) -> None:
        """Note that the last update was skipped: what comes is its first pass again."""
        self._passes = 0

    def end_pass(self, passes: int = 1) -> None:
        """End a backward pass, of so many that make an update."""
        self._trained = True
        if self._counts_passes and self._passes >= passes:
            self.updated()

    def evaluated(self) -> None:
        """Note an evaluation: the first one after training ends an epoch."""
        if self._trained:
            self._trained = False
            self.boundary += 1
            self.epoch += self._counts_epochs

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; from now on it is not counted any more.

        Raises
        ------
        TrajlabError
            If it is no count.
        """
        self.epoch = _count(epoch, "epoch")
        self._counts_epochs = False

    def resume(self, run: Trajectory, from_step: int | None) -> None:
        """Go on from `from_step`, by default after the last step that was recorded."""
        steps = run.table("losses")["step"] if "losses" in run.tables else np.array([], int)
        self.step = int(steps.max(initial=-1)) + 1 if from_step is None else from_step
        for name in run.tables:
            if name.startswith("evaluations/"):
                table = run.table(name)
                completed = table["epoch"][table["step"] <= self.step]
                self.epoch = max(self.epoch, int(completed.max(initial=0)))

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on counting."""
        return {"step": self.step, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's counts."""
        self.step, self.epoch = state["step"], state["epoch"]

    def updated(self) -> None:
        """Count an update."""
        on_update = self._on_update()
        if on_update is not None:
            on_update()
        self.step += 1


def _count(value: int, name: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or not 0 <= value < 2**63:
        raise TrajlabError(f"{name}={value!r} is no count; give a whole number from 0 on")
    return index(value)
