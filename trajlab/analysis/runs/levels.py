"""Where a run stood at given steps: its loss, its running loss, or what a clock said."""

import numpy as np

from trajlab.analysis.interface.axis import RUNNING
from trajlab.analysis.runs.recorded import Steps, clock_columns, task_column
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory

WIDEST_HOLE = 0.5  # decades between neighbouring evaluations


def loss_at(step: Steps, known: Steps, loss: FloatArray) -> FloatArray:
    """Return the loss at steps: as recorded, or between two recorded that are close.

    Parameters
    ----------
    step
        (n,) increasing.
    known, loss
        (m,) increasing steps, and the losses there; one that is not finite is not made up.

    Returns
    -------
    (n,) array
        Between two losses at most half a decade apart the logarithm is taken to be linear; NaN
        elsewhere, for nothing is extrapolated.
    """
    if not known.size:
        return np.full(step.shape, np.nan)
    above = np.clip(np.searchsorted(known, step), 0, known.size - 1)
    below = np.maximum(above - 1, 0)
    usable = np.isfinite(loss) & (loss > 0)
    inside = (known[below] < step) & (step < known[above]) & usable[below] & usable[above]
    low, high = (np.log10(np.where(inside, loss[end], 1.0)) for end in (below, above))
    inside &= np.abs(high - low) <= WIDEST_HOLE
    share = (step - known[below]) / np.maximum(known[above] - known[below], 1)
    between = np.where(inside, 10 ** (low + share * (high - low)), np.nan)
    return np.where(known[above] == step, loss[above], between)


def running_loss(run: Trajectory, task: str, step: Steps) -> FloatArray:
    """Return the mean loss of the batches trained on in the epoch before each step.

    Where fewer than two epochs are told, of the batches since the step before.

    Parameters
    ----------
    run, task
        A run, and one of its tasks.
    step
        (n,) increasing; evaluations of the score.
    """
    at, loss = task_column(run, RUNNING, "loss", task)
    if not at.size:
        return np.full(step.shape, np.nan)
    length = _epoch_length(run)
    start = np.append(-1, step[:-1]) if length is None else step - length
    known = ~np.isnan(loss)  # a task that a step omits is NaN
    sums = np.append(0.0, np.cumsum(np.where(known, loss, 0.0)))
    counts = np.append(0, np.cumsum(known))
    first, last = (np.searchsorted(at, bound, side="right") for bound in (start, step))
    number = counts[last] - counts[first]
    return np.asarray((sums[last] - sums[first]) / np.where(number > 0, number, np.nan))


def breaks_off(loss: FloatArray) -> bool:
    """Tell whether losses of batches end as infinite, or as NaN for longer than ever before.

    A task that is left out of some steps is NaN there, at the last one too.

    Parameters
    ----------
    loss
        (n,) in order of step.
    """
    known = np.flatnonzero(~np.isnan(loss))
    if not known.size:
        return bool(loss.size)
    pauses = np.diff(known, prepend=-1) - 1
    return bool(np.isinf(loss[known[-1]]) or loss.size - 1 - known[-1] > pauses.max())


def clock_at(step: Steps, known: Steps, clock: FloatArray) -> FloatArray:
    """Return what a clock said at steps, linear between its readings; NaN outside, and at 0.

    Parameters
    ----------
    step
        (n,) increasing.
    known, clock
        (m,) of :func:`clock`.
    """
    if not known.size:
        return np.full(step.shape, np.nan)
    said = np.interp(step, known, clock, left=np.nan, right=np.nan)
    return np.where(said > 0, said, np.nan)


def clock(run: Trajectory, name: str) -> tuple[Steps, FloatArray]:
    """Return the steps and readings of a clock: of all evaluations, or else of the first table.

    Parameters
    ----------
    run, name
        As in :func:`clock_columns`.

    Raises
    ------
    TrajlabError
        If it falls: then it does not count what training has spent.
    """
    parts: list[tuple[Steps, FloatArray]] = []
    for table, column in clock_columns(run, name):
        view = run.table(table)
        step, values = np.asarray(view["step"]), np.asarray(view[column], float)
        told = np.isfinite(values) & (values >= 0)  # an integer that is missing is -1
        if told.any() and (table.startswith("evaluations/") or not parts):
            parts.append((step[told], values[told]))
    if not parts:
        return np.empty(0, np.int64), np.empty(0)
    step, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((values, step))
    step, last = np.unique(step[order][::-1], return_index=True)
    values = values[order][::-1][last]
    fallen = step[1:][np.diff(values) < 0]
    if fallen.size:
        raise TrajlabError(
            f"{name} of {run.path} falls at step {fallen[0]}, so it does not count what training "
            "has spent; record the sum since training began"
        )
    return step, values


def _epoch_length(run: Trajectory) -> float | None:
    """Return the steps of an epoch, None where fewer than two of them are told."""
    table = run.table(RUNNING)
    if "epoch" not in table:
        return None
    epoch = np.floor(np.asarray(table["epoch"], float))  # some logs tell parts of an epoch
    step = np.asarray(table["step"])
    begins = step[np.flatnonzero(np.diff(epoch, prepend=-1) > 0)]
    return float(np.median(np.diff(begins))) if begins.size > 1 else None
