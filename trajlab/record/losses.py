"""The training losses and weights of every step; always on."""

from collections.abc import Mapping

import torch
from torch import Tensor

from trajlab.measure.sums.processes import processes, sum_over_processes
from trajlab.record.moment import Moment
from trajlab.record.probes.probe import Probe, Row
from trajlab.store import Table, standard

_SCALED = ("loss_scale", "skipped")


class Losses(Probe):
    """Training loss and weight of each task, at every backward pass.

    Values are copied, and those on a GPU stay there until the recorder hands rows to the file:
    reading one would wait for all the work that is queued. NaN and infinite losses are recorded as
    they are, an omitted task as NaN. They are means over the processes of a distributed training.

    Parameters
    ----------
    scaled : bool
        Whether a loss scaler is at work. The recorded losses are without its scale.
    """

    needs_graph = True

    def __init__(self, scaled: bool = False) -> None:
        super().__init__(every=1)
        self._scaled = scaled

    def table(self, moment: Moment) -> Table:
        """Declare ``losses``; with a loss scaler, ``loss_scale`` and ``skipped`` too."""
        return standard("losses", *(_SCALED if self._scaled else ()), task=moment.tasks)

    def measure(self, moment: Moment) -> Row:
        """Return times, learning rate, ``loss`` (task,) and ``weight`` (task,)."""
        row = {
            "micro_step": moment.micro_step,
            "wall_time": moment.wall_time,
            "epoch": moment.epoch,
            "learning_rate": moment.learning_rate,
            "loss": _mean(_along_tasks(moment.losses, moment.tasks), moment),
            "weight": _along_tasks(moment.weights, moment.tasks),
        }
        return row | {"loss_scale": moment.loss_scale, "skipped": False} if self._scaled else row


def _mean(losses: Tensor | list[float], moment: Moment) -> Tensor | list[float]:
    """Return the losses' mean over the processes that did not omit the task."""
    if processes() == 1:
        return losses
    losses = torch.as_tensor(losses, dtype=torch.float64)
    present = torch.tensor([float(task in moment.losses) for task in moment.tasks]).to(losses)
    total, number = sum_over_processes([torch.where(present > 0, losses, 0.0), present])
    return total / number


def _along_tasks(
    values: Mapping[str, float | Tensor], tasks: tuple[str, ...]
) -> Tensor | list[float]:
    """Return the values in the order of the tasks: numbers, or one tensor on another device."""
    ordered = [values.get(task, torch.nan) for task in tasks]
    like = next((v for v in ordered if isinstance(v, Tensor) and v.device.type != "cpu"), None)
    if like is None:
        return [v.item() if isinstance(v, Tensor) else v for v in ordered]
    with torch.no_grad():
        return torch.stack(
            [
                v.to(like.device)
                if isinstance(v, Tensor)
                else like.new_full((), v, dtype=torch.float64)
                for v in ordered
            ]
        )
