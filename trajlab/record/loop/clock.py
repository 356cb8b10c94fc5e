"""What step and what epoch it is."""

import logging
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakMethod

import numpy as np
from torch import Tensor

from trajlab.record.loop.updates import Updates
from trajlab.store import Trajectory

_logger = logging.getLogger("trajlab")


class Clock:
    """Counts optimizer updates, the backward passes between them, and epochs.

    A step is an optimizer update completed: what is measured at step k was measured before update
    k, so the first step is 0. Without an optimizer to watch, every pass is one step.

    Parameters
    ----------
    optimizer : Optimizer or a wrapper of one, optional
        Its updates advance the step, as `Updates` notices them.
    shared : callable
        Returns the shared parameters as they are at present.
    on_update : method
        Called after each of them, before the step advances, as long as its object lives.

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
    boundary : int
        Epoch boundaries so far, the beginning of training not counted.
    begun : bool
        Whether there was a pass, in this session or one that it goes on with.
    """

    def __init__(
        self,
        optimizer: Any,
        shared: Callable[[], Iterable[Tensor]],
        on_update: Callable[[], None],
    ) -> None:
        self.step = 0
        self.micro_step = 0
        self.first = True
        self.epoch = 0
        self.boundary = 0
        self._counts_epochs = True
        self._counts_passes = optimizer is None
        self._on_update = WeakMethod(on_update)  # the optimizer must not keep a recorder alive
        self._passes = 0  # of the present update
        self._last_pass = -1
        self._trained = False
        self.begun = False
        self._updates = Updates(optimizer, shared, self._updated) if optimizer is not None else None

    def next_step(self, passes: int = 1) -> int:
        """Return the step of the next pass, right after one of so many that make an update."""
        return self.step if self._counts_passes or self._passes < passes else self.step + 1

    def begins(self, step: int | None = None) -> bool:
        """Say whether the next pass is the first one of an update."""
        return (self.step if step is None else step) != self._last_pass or self._passes == 0

    def begin_pass(self, step: int | None = None) -> None:
        """Begin a backward pass; `step` corrects the count."""
        if step is not None:
            self._correct(step)
        elif self._counts_passes and not self.begun:
            _logger.warning(
                "trajlab counts every backward pass as one step, and knows no learning rate; pass "
                "optimizer= to record its updates"
            )
        self.begun = True
        if self._updates is not None:
            self._updates.begin_pass()
        if self.step != self._last_pass:
            self.micro_step, self._passes = 0, 0
        else:
            self.micro_step += 1
        self.first = self._passes == 0
        self._passes += 1
        self._last_pass = self.step

    def retry(self) -> None:
        """Note that the last update was skipped: what comes is its first pass again."""
        self._passes = 0
        if self._updates is not None:
            self._updates.restart()

    def end_pass(self, passes: int = 1) -> None:
        """End a backward pass, of so many that make an update."""
        self._trained = True
        if self._updates is not None:
            self._updates.end_pass(passes)
        if self._counts_passes and self._passes >= passes:
            self._updated()

    def evaluated(self, step: int | None = None) -> None:
        """Note an evaluation, and correct the step: the first one after training ends an epoch."""
        if step is not None:
            self._correct(step)
        if self._trained:
            self._trained = False
            self.boundary += 1
            self.epoch += self._counts_epochs

    @property
    def waiting(self) -> int:
        """Backward passes since the last update; 0 where each is one."""
        return self._updates.passes if self._updates is not None else 0

    @property
    def learning_rate(self) -> float:
        """That of the optimizer; NaN without one."""
        return self._updates.learning_rate if self._updates is not None else np.nan

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; from now on it is not counted any more."""
        self.epoch = epoch
        self._counts_epochs = False

    def resume(self, run: Trajectory, from_step: int | None) -> None:
        """Go on from `from_step`, by default after the last step that was recorded."""
        self.begun = True
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
        self.step, self.epoch, self.begun = state["step"], state["epoch"], True

    def stop(self) -> None:
        """Watch the optimizer no more."""
        if self._updates is not None:
            self._updates.stop()

    def _correct(self, step: int) -> None:
        if step != self.step and self._updates is not None:
            self._updates.restart()
        self.step = step

    def _updated(self) -> None:
        on_update = self._on_update()
        if on_update is not None:
            on_update()
        self.step += 1
        self._passes = 0
