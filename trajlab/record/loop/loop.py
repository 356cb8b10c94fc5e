"""The training loop, as the recorder sees it."""

import time
from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from trajlab.errors import TrajlabError
from trajlab.record import settings
from trajlab.record.loop.clock import Clock
from trajlab.record.loop.following import Following
from trajlab.record.loop.loss_scale import LossScale
from trajlab.record.loop.losses import Weights
from trajlab.record.loop.setup import Setup
from trajlab.record.loop.shards import Shards
from trajlab.record.loop.updates import in_backward
from trajlab.record.loop.wrappers import is_sharded
from trajlab.record.moment import Moment

_NONE: Mapping[str, nn.Parameter] = {}


class Loop:
    """Model, shared parameters, step and loss scale of a training loop at each moment.

    Parameters
    ----------
    setup : Setup
        What the recorder is made with.
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
        scaler: GradScaler | None,
        created: float,
        on_update: Callable[[], None],
    ) -> None:
        self._setup = setup
        self._model: nn.Module = setup.inner
        self._created = created
        self.shared = Following(setup)
        self.clock = Clock(setup.optimizer, self.shared.present, on_update)
        self.scale = LossScale(scaler)
        self.shards = Shards(setup.model)

    def begin_pass(
        self, losses: Mapping[str, Tensor], weights: Weights, accumulate: int, step: int | None
    ) -> Moment:
        """Begin a backward pass that was checked, and return its moment."""
        self.clock.begin_pass(step)
        self.shards.close()
        return self.moment(losses, weights, accumulate)

    def check_pass(self, accumulate: int, step: int | None) -> None:
        """Look whether a pass can begin, before anything of it is recorded.

        Raises
        ------
        TrajlabError
            If `accumulate` is no number of passes, `step` no step, or the model was sharded
            meanwhile.
        """
        settings.whole("accumulate", accumulate, 1)
        settings.step(step)
        if not self.clock.begun and is_sharded(self._setup.model) and not self.shards.sharded:
            raise TrajlabError(
                "the model was given to fully_shard after the recorder was made; make the recorder "
                "afterwards"
            )

    def moment(self, losses: Mapping[str, Tensor], weights: Weights, accumulate: int = 1) -> Moment:
        """Return the present moment, with the losses of the current batch."""
        parameters = _NONE if self.shared.parameters is None else self.shared.parameters
        return Moment(
            step=self.clock.step,
            micro_step=self.clock.micro_step,
            passes=accumulate,
            first=self.clock.first,
            loss_scale=self.scale.value,
            epoch=self.clock.epoch,
            wall_time=time.time() - self._created,
            learning_rate=self.clock.learning_rate,
            model=self._model,
            tasks=self._setup.tasks,
            parameters=parameters,
            leaves=self.shards.leaves(parameters),
            losses=losses,
            weights=weights,
            task_losses=self._setup.task_losses,
            predict=self._setup.predict,
        )

    def evaluate(self, step: int | None) -> Moment:
        """Note an evaluation, and return its moment."""
        self.shards.close()
        self.clock.evaluated(step)
        return self.moment({}, {})

    def update(self) -> dict[str, Tensor]:
        """Return the gradients that the optimizer is about to take, by name; empty if unknown."""
        if self._setup.optimizer is None or in_backward():
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
        self.clock.stop()
        self.shards.close()
        self.shards.clear()
