"""Tasks whose outputs are one number an example."""

from collections.abc import Mapping

from torch import Tensor

from trajlab.measure.examples.likelihood import Gaussian
from trajlab.training.metrics import absolute_error
from trajlab.training.setting import Split, Task


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return half of the squared error of each example, minus a Gaussian's log-likelihood."""
    return (outputs - targets) ** 2 / 2


def regression(splits: Mapping[str, Split]) -> Task:
    """Return a task of squared error, whose metric is the mean absolute one.

    Parameters
    ----------
    splits
        As in :class:`~trajlab.training.setting.Task`; targets are numbers ``(n,)``.
    """
    return Task(splits, squared_error, {"mae": absolute_error}, likelihood=Gaussian)
