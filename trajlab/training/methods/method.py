"""What a method is: how the losses of several tasks become one update."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.record import Recorder
from trajlab.record.probes import Probe
from trajlab.training.setting import MultiTaskModel

Weights = Mapping[str, float | Tensor] | None


class Method:
    """The plain loss of one task, or a weighted sum of several: what a subclass says.

    Parameters
    ----------
    tasks
        Names of the tasks.
    seed
        Of what the method draws at random.

    Attributes
    ----------
    resumable
        Whether `state_dict` holds all of its state; if not, an interrupted run starts again.
    """

    resumable = True

    def __init__(self, tasks: tuple[str, ...], seed: int) -> None:
        self.tasks = tasks
        self._generator = torch.Generator().manual_seed(seed)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What it learns by the network's own optimizer."""
        return []

    @property
    def probes(self) -> Sequence[Probe]:
        """What it records beside losses and weights."""
        return []

    def draw(self) -> Collection[str]:
        """Return the tasks to train on in the coming step."""
        return self.tasks

    def weights(self, losses: Mapping[str, Tensor], model: MultiTaskModel) -> Weights:
        """Return the weight of each loss, None for 1.

        Parameters
        ----------
        losses
            The scalar losses of the batch, with their graph.
        model
            The model that they are of.
        """
        return None

    def backward(
        self, recorder: Recorder, losses: Mapping[str, Tensor], model: MultiTaskModel
    ) -> None:
        """Record the step and leave the update's direction in ``.grad``.

        Parameters
        ----------
        recorder
            What records.
        losses
            The scalar losses of the batch, with their graph.
        model
            The model that they are of.
        """
        recorder.backward(losses, self.weights(losses, model))

    def after_update(self, again: Callable[[], Mapping[str, Tensor]]) -> None:
        """Learn from an update that was made.

        Parameters
        ----------
        again
            Returns the losses of the same batches with the present weights of the model.
        """

    def end_epoch(self, losses: Mapping[str, float]) -> None:
        """Take note of the mean training losses of an epoch's batches."""

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._generator.set_state(state["generator"])


def one_each(values: Sequence[float] | None, tasks: tuple[str, ...], name: str) -> list[float]:
    """Check an option that has one number a task; equal shares if it is not given.

    Raises
    ------
    TrajlabError
        If there are too few or too many, or one is negative.
    """
    weights = [1 / len(tasks)] * len(tasks) if values is None else list(map(float, values))
    if len(weights) != len(tasks) or min(weights) < 0:
        raise TrajlabError(
            f"{name} needs one number a task, none negative, for {', '.join(tasks)}; got {values}"
        )
    return weights
