"""Columns of one run, of one task, as they were recorded."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.store import Trajectory
from trajlab.store.view import View

Steps = npt.NDArray[np.int64]
NOT_METRICS = ("step", "task", "epoch", "items", "correct")  # of a table of evaluations
ERROR = "_se"  # behind the name of a loss or metric: its standard error


def task_column(run: Trajectory, table: str, name: str, task: str) -> tuple[Steps, FloatArray]:
    """Return the steps and values of a column (step, task); empty if there are none.

    Parameters
    ----------
    run, table, name, task
        The run, and what of it.
    """
    nothing = np.empty(0, np.int64), np.empty(0)
    if table not in run.tables:
        return nothing
    view = run.table(table)
    if name not in view or view.axes(name) != ("step", "task"):
        return nothing
    tasks: Sequence[str] = list(view["task"])
    if task not in tasks:
        return nothing
    return np.asarray(view["step"]), np.asarray(view[name][:, tasks.index(task)], float)


def higher_is_better(run: Trajectory, split: str, metric: str) -> bool:
    """Tell a metric's direction, as recorded; without a record only of a loss less is better."""
    table = run.table(f"evaluations/{split}")
    attributes = table.column_attributes(metric) if metric in table else {}
    return bool(attributes.get("higher_is_better", metric != "loss"))


def is_metric(table: View, name: str) -> bool:
    """Tell whether a column of a table of evaluations is a metric, and not the error of one."""
    of_tasks = name not in NOT_METRICS and table.axes(name) == ("step", "task")
    return of_tasks and not (name.endswith(ERROR) and name.removesuffix(ERROR) in table)
