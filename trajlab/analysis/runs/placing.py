"""Where a run stands on an axis: which level it had at given steps, and whether it has any."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trajlab.analysis.interface.axis import RUNNING, Axis
from trajlab.analysis.runs.columns import ERROR, Steps, higher_is_better, is_metric, task_column
from trajlab.analysis.runs.levels import (
    breaks_off,
    clock,
    clock_at,
    clock_columns,
    loss_at,
    running_loss,
)
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory

_NO_CLOCKS = ("micro_step", "learning_rate", "loss_scale", "skipped", "reason")


def has_axis(run: Trajectory, axis: Axis) -> bool:
    """Tell whether a run recorded what is matched."""
    if not axis.is_loss:
        return axis.x == "step" or any(True for _ in clock_columns(run, axis.x))
    table, name = axis.column
    return table in run.tables and name in run.table(table)


def check_axis(runs: Sequence[Trajectory], axis: Axis) -> None:
    """Raise a `TrajlabError` if no run recorded what is matched, or more of the loss is better."""
    if not any(has_axis(run, axis) for run in runs):
        what = f"loss named {axis.loss!r}" if axis.is_loss else f"clock named {axis.x!r}"
        there = ", ".join(_losses(runs) if axis.is_loss else ["step", *_clocks(runs)])
        raise TrajlabError(f"no run recorded a {what} to compare at; there is {there or 'none'}")
    if axis.is_loss and axis.loss != RUNNING:
        split, _, name = axis.loss.partition("/")
        if any(has_axis(run, axis) and higher_is_better(run, split, name) for run in runs):
            raise TrajlabError(
                f"{axis.loss} is no loss to compare at: more of it is better; name it in "
                "lower_is_better where it is recorded, if less is"
            )


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
    """Tell at which steps a loss was recorded, and not read between two others."""
    if not axis.is_loss or axis.loss == RUNNING:
        return np.ones(step.shape, bool)
    known, loss = task_column(run, *axis.column, task)
    return np.isin(step, known[np.isfinite(loss)])


def diverged(run: Trajectory, task: str, axis: Axis) -> bool:
    """Tell whether the last of a task's losses after step 0 is NaN or infinite."""
    step, loss = task_column(run, *axis.column, task)
    if axis.loss == RUNNING:
        return breaks_off(loss)
    return bool((step > 0).any() and not np.isfinite(loss[step > 0][-1]))


def _losses(runs: Sequence[Trajectory]) -> list[str]:
    """Return what `loss` may be for these runs."""
    names: dict[str, None] = {}
    for run in runs:
        for table in run.tables:
            kind, _, split = table.partition("/")
            for name in run.table(table) if kind == "evaluations" else ():
                if is_metric(run.table(table), name) and not higher_is_better(run, split, name):
                    names[f"{split}/{name}"] = None
        names |= {RUNNING: None} if RUNNING in run.tables else {}
    return list(names)


def _clocks(runs: Sequence[Trajectory]) -> list[str]:
    """Return what `x` may be for these runs, beside ``loss`` and ``step``."""
    names: dict[str, None] = {}
    for run in runs:
        for table in run.tables:
            short = table == RUNNING or table.startswith("evaluations/")
            for column in run.table(table).declared.columns:
                if column.axes == ("step",) and column.name not in _NO_CLOCKS:
                    names[column.name if short else f"{table}/{column.name}"] = None
    return list(names)
