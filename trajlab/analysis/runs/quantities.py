"""Any recorded number of a task, over steps or over training loss, by its name ``table/column``."""

import numpy as np
import numpy.typing as npt

from trajlab.analysis.interface.axis import TRAINING_LOSS, Axis
from trajlab.analysis.runs.evaluations import Evaluations, over
from trajlab.analysis.runs.recorded import has_axis
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.store import Trajectory

PAPER_RHO = 1e-3


def recorded(run: Trajectory, task: str, name: str) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return the steps and values of a quantity; empty if it was not recorded.

    Parameters
    ----------
    run, task
        The run and one of its tasks.
    name
        ``table/column``. What has no task axis is the same for all tasks. Sharpness is read at the
        paper's ρ, or the first, where there are more.
    """
    held, _, column = name.rpartition("/")
    if held not in run.tables or column not in run.table(held):
        return np.empty(0, np.int64), np.empty(0)
    table = run.table(held)
    values, axes = table[column], table.axes(column)
    if "task" in axes:
        tasks = list(table["task"])
        if task not in tasks:
            return np.empty(0, np.int64), np.empty(0)
        values = values[:, tasks.index(task)]
    if "rho" in axes:
        values = values[:, int(np.argmax(table["rho"] == PAPER_RHO))]
    return table["step"], np.asarray(values, float)


def over_axis(run: Trajectory, task: str, name: str, axis: Axis = TRAINING_LOSS) -> Evaluations:
    """Return a quantity as a score where the training loss is known, or what stands in its place.

    Parameters
    ----------
    run, task, name
        As in :func:`recorded`.
    axis
        What the quantity is read over.
    """
    step, values = recorded(run, task, name)
    quantity = Evaluations.clean(step, np.full(step.shape, np.nan), values)
    if not quantity.step.size or not has_axis(run, axis):
        return Evaluations.clean([], [], [])
    return over(run, task, quantity, axis)
