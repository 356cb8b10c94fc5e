"""What a method is: how the losses of several tasks become one update."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from trajlab.record import Recorder
from trajlab.training.setting import MultiTaskModel

Weights = Mapping[str, float | Tensor] | None


class Method:
    """A weighted sum of the losses; unweighted, unless a subclass says otherwise.

    Parameters
    ----------
    tasks
        Names of the tasks.
    seed
        Of what the method draws at random.
    """

    def __init__(self, tasks: tuple[str, ...], seed: int) -> None:
        self.tasks = tasks
        self.seed = seed

    def draw(self) -> Iterable[str]:
        """Return the tasks to train on in the coming step."""
        return self.tasks

    def weights(self, losses: Mapping[str, Tensor]) -> Weights:
        """Return the weight of each loss, None for 1.

        Parameters
        ----------
        losses
            The scalar losses of the batch, with their graph.
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
            The model.
        """
        recorder.backward(losses, self.weights(losses))

    def end_epoch(self, losses: Mapping[str, float]) -> None:
        """Take note of an epoch's mean training losses."""

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
