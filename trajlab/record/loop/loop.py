"""The training loop, as the recorder sees it."""

import time
from collections.abc import Callable, Mapping
from math import nan
from typing import Any

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from trajlab.errors import TrajlabError
from trajlab.record.loop.clock import Clock
from trajlab.record.loop.following import Following
from trajlab.record.loop.loss_scale import LossScale
from trajlab.record.loop.losses import Weights
from trajlab.record.loop.setup import Setup
from trajlab.record.loop.shards import Shards
from trajlab.record.loop.updates import Updates
from trajlab.record.moment import Moment


class Loop:
    """Model, shared parameters, step and loss scale of a training loop at each moment.

    Parameters
    ----------
    setup : Setup
        What the recorder is made with.
    shared : Following
        The shared parameters.
    optimizer : Optimizer or a wrapper of one, optional
        Its updates advance the step, and its first group tells the learning rate.
    scaler : GradScaler, optional
        What scales the losses.
    created : float
        Seconds since the epoch at which the run began.
    on_update : method
        Called before the step advances, as long as its object lives.

    Attributes
    ----------
    clock : Clock
        What step and epoch it is.
    scale : LossScale
        What the losses are multiplied by.
    shards : Shards
        The whole parameters of a sharded model.
    shared : Following
        The shared parameters.
    """

    def __init__(
        self,
        setup: Setup,
        shared: Following,
        optimizer: Any | None,
        scaler: GradScaler | None,
        created: float,
        on_update: Callable[[], None],
    ) -> None:
        self._setup = setup
        self._model: nn.Module = setup.inner
        self._created = created
        self.clock = Clock(optimizer is not None, on_update)
        self.shared = shared
        self._backward = False
        self._updates = (
            None
            if optimizer is None
            else Updates(optimizer, lambda: (shared.parameters or {}).values(), self.clock.updated)
        )
        self.scale = LossScale(scaler)
        self.shards = Shards(setup.model)

    def begin_pass(
        self, losses: Mapping[str, Tensor], weights: Weights, accumulate: int, step: int | None
    ) -> Moment:
        """Begin a backward pass, and return its moment.

        Raises
        ------
        TrajlabError
            If `accumulate` is no number of passes, or the step no count.
        """
        if accumulate < 1:
            raise TrajlabError(f"accumulate={accumulate} is no number of passes; give 1 or more")
        self.clock.begin_pass(step)
        if self._updates is not None and step is None:
            self._updates.begin_pass(accumulate)
        self.shards.close()
        return self.moment(losses, weights, accumulate)

    def moment(self, losses: Mapping[str, Tensor], weights: Weights, accumulate: int = 1) -> Moment:
        """Return the present moment, with the losses of the current batch."""
        parameters = self.shared.parameters or {}
        return Moment(
            step=self.clock.step,
            micro_step=self.clock.micro_step,
            passes=accumulate,
            first=self.clock.first,
            loss_scale=self.scale.value,
            epoch=self.clock.epoch,
            wall_time=time.time() - self._created,
            learning_rate=nan if self._updates is None else self._updates.learning_rate,
            model=self._model,
            tasks=self._setup.tasks,
            parameters=parameters,
            leaves=self.shards.leaves(parameters),
            losses=losses,
            weights=weights,
            task_losses=self._setup.task_losses,
            predict=self._setup.predict,
        )

    def evaluate(self) -> Moment:
        """Note an evaluation, and return its moment."""
        self.shards.close()
        self.clock.evaluated()
        return self.moment({}, {})

    def backward(self, total: Tensor) -> None:
        """Run the training backward of the total, scaled."""
        self._backward = True
        try:
            self.scale.apply(total).backward()  # type: ignore[no-untyped-call]
        finally:
            self._backward = False

    def update(self) -> dict[str, Tensor]:
        """Return the gradients that the optimizer is about to take, by name.

        Empty where they are not known: without an optimizer, or where updates are made parameter
        by parameter in the midst of the backward.
        """
        if self._updates is None or self._backward:
            return {}
        gradients = {name: p.grad for name, p in (self.shared.parameters or {}).items()}
        return {name: gradient for name, gradient in gradients.items() if gradient is not None}

    def look(self, wanted: bool) -> None:
        """Look for a sharded model's parameters in the forward pass that follows, or do not."""
        self.shards.clear()
        if wanted and self.shared.parameters is not None:
            self.shards.open(self.shared.parameters)

    def stop(self) -> None:
        """Watch the optimizer and the modules no more."""
        if self._updates is not None:
            self._updates.stop()
        self.shards.close()
        self.shards.clear()
