"""The training loss at which runs are compared: the lowest that all their curves share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajlab.analysis.runs.curve import Curve, in_hole
from trajlab.analysis.runs.evaluations import Evaluations


@dataclass(frozen=True)
class CommonLoss:
    """L_c, and the run that keeps it from being lower.

    Attributes
    ----------
    log_loss
        log10 of L_c, NaN where no loss is on all curves.
    set_by
        The side, 0 or 1, and the position of the run whose curve ends highest.
    next_lowest
        log10 of L_c without that run; leaving out any other does not move it.
    in_hole
        Whether neighbouring evaluations of a side lie too far apart there.
    """

    log_loss: float
    set_by: tuple[int, int]
    next_lowest: float
    in_hole: bool

    @property
    def readable(self) -> float:
        """log10 of L_c, NaN where evaluations leave a hole there."""
        return float("nan") if self.in_hole else self.log_loss


def common_loss(
    groups: Sequence[Sequence[Evaluations]], curves: Sequence[Sequence[Curve]]
) -> CommonLoss:
    """Find the lowest loss on all curves: none is read below its lowest knot.

    A fitted curve says nothing below that: isotonic regression pools a loss that rises again, and
    the last block would be read at a loss that was never fitted.

    Parameters
    ----------
    groups, curves
        The runs of each side, and their curves in the same order.
    """
    places = [(side, i) for side, group in enumerate(curves) for i in range(len(group))]
    ends = np.array([curves[side][i].ends for side, i in places])
    order = np.argsort(ends[:, 0], kind="stable")
    low = float(ends[order[-1], 0])
    following = float(ends[order[-2], 0]) if len(order) > 1 else np.nan
    log_loss = float("nan") if low > ends[:, 1].min() else low
    hole = any(bool(in_hole(low, group)) for group in groups)
    return CommonLoss(log_loss, places[order[-1]], following, hole)
