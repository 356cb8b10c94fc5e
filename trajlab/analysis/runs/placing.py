"""Where a run stands on an axis: which level it had at given steps, and whether it has any."""

import numpy as np
import numpy.typing as npt

from trajlab.analysis.interface.axis import RUNNING, Axis
from trajlab.analysis.runs.levels import breaks_off, clock, clock_at, loss_at, running_loss
from trajlab.analysis.runs.recorded import ERROR, Steps, task_column
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.store import Trajectory


def levels(run: Trajectory, task: str, step: Steps, axis: Axis) -> FloatArray:
    """Return a task's levels at steps.

    Parameters
    ----------
    run, task
        The run, and one of its tasks.
    step
        (n,) increasing, after 0: evaluations of the score.
    axis
        What is matched.

    Returns
    -------
    (n,) array
        At or below 0 where a loss is; NaN where nothing tells it.

    Raises
    ------
    TrajlabError
        If a clock falls.
    """
    if axis.x == "step":
        return 1 / np.asarray(step, float)
    if not axis.is_loss:
        return 1 / clock_at(step, *clock(run, axis.x))
    if axis.loss == RUNNING:
        return running_loss(run, task, step)
    known, loss = task_column(run, *axis.column, task)
    return loss_at(step, known[known > 0], loss[known > 0])


def level_errors(run: Trajectory, task: str, step: Steps, axis: Axis) -> FloatArray | None:
    """Return the standard errors of log10 of a task's losses at steps; None if none is recorded.

    They are those of the column named after the loss, ``loss_se`` beside ``loss``, and between two
    of them linear in the step.
    """
    if not axis.is_loss or axis.loss == RUNNING:
        return None
    table, name = axis.column
    known, error = task_column(run, table, name + ERROR, task)
    if not known.size:
        return None
    loss = task_column(run, table, name, task)[1]
    told = np.isfinite(error) & (error >= 0) & (loss > 0)
    if not told.any():
        return None
    return np.asarray(np.interp(step, known[told], error[told] / loss[told] / np.log(10)))


def told_at(run: Trajectory, task: str, step: Steps, axis: Axis) -> npt.NDArray[np.bool_]:
    """Tell at which steps a loss was recorded, and not read between two others.

    One that is not finite has no level there, so it is not asked for again.
    """
    if not axis.is_loss or axis.loss == RUNNING:
        return np.ones(step.shape, bool)
    known, _ = task_column(run, *axis.column, task)
    return np.isin(step, known)


def diverged(run: Trajectory, task: str, axis: Axis) -> bool:
    """Tell whether the last of a task's losses after step 0 is NaN or infinite."""
    step, loss = task_column(run, *axis.column, task)
    if axis.loss == RUNNING:
        return breaks_off(loss)
    return bool((step > 0).any() and not np.isfinite(loss[step > 0][-1]))
