"""The training losses and weights of every step; always on."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trajlab.record.probes.probe import Moment, Probe
from trajlab.store import Table, standard


class Losses(Probe):
    """Training loss and weight of each task, at every backward pass.

    Values are copied and stay on their device until the recorder hands rows to the file: reading
    one there would wait for all the work that is queued. NaN and infinite losses are recorded as
    they are, an omitted task as NaN.
    """

    needs_graph = True

    def __init__(self) -> None:
        super().__init__(every=1)

    def table(self, moment: Moment) -> Table:
        """Declare ``losses``."""
        return standard("losses", task=moment.tasks)

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return times, learning rate, ``loss`` (task,) and ``weight`` (task,)."""
        return {
            "micro_step": moment.micro_step,
            "wall_time": moment.wall_time,
            "epoch": moment.epoch,
            "learning_rate": moment.learning_rate,
            "loss": _along_tasks(moment.losses, moment.tasks),
            "weight": _along_tasks(moment.weights, moment.tasks),
        }


def _along_tasks(values: Mapping[str, float | Tensor], tasks: tuple[str, ...]) -> Any:
    """Return the values in the order of the tasks: numbers as a list, else one tensor."""
    ordered = [values.get(task, torch.nan) for task in tasks]
    like = next((value for value in ordered if isinstance(value, Tensor)), None)
    if like is None:
        return ordered
    with torch.no_grad():
        return torch.stack(
            [
                v if isinstance(v, Tensor) else like.new_full((), v, dtype=torch.float64)
                for v in ordered
            ]
        )
