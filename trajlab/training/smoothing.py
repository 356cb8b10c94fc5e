"""Label smoothing, of losses that are a cross-entropy over classes."""

import copy
from collections.abc import Callable

from torch import Tensor, nn

from trajlab.errors import TrajlabError

Loss = Callable[[Tensor, Tensor], Tensor]


def smoothed(loss: Loss, share: float) -> Loss:
    """Return a loss whose targets are smoothed.

    Parameters
    ----------
    loss
        From outputs and targets to per-example losses.
    share
        Of a target's probability that is spread evenly over all classes; with 0 the loss is
        returned as it is.

    Raises
    ------
    TrajlabError
        If the loss is no cross-entropy over classes, or the share is not from 0 to below 1.

    References
    ----------
    Szegedy et al. (2016), Rethinking the Inception architecture for computer vision, CVPR.
    """
    if not 0 <= share < 1:
        raise TrajlabError(f"label_smoothing={share:g}; give a share from 0 to below 1")
    if share == 0:
        return loss
    if not isinstance(loss, nn.CrossEntropyLoss):
        raise TrajlabError(
            "label_smoothing is for tasks of several classes, and a task here has another loss; "
            "leave it out"
        )
    smoothed = copy.copy(loss)
    smoothed.label_smoothing = share
    return smoothed
