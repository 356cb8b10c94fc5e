"""How alike gradients are across time, tasks and runs, from their sketches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store import Trajectory

_FACTS = ("kind_of_sketch", "size", "seed")


def sketch_cosine(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the cosine of each vector of one set with each of another.

    Parameters
    ----------
    a
        (n, k) sketches.
    b
        (m, k) sketches of the same seed.

    Returns
    -------
    (n, m) array
        Normalised by the sketched norms; NaN where a vector is zero or missing. Its standard error
        is about (1 - c²) / √k.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    norms = np.linalg.norm(a, axis=-1)[:, None] * np.linalg.norm(b, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(norms > 0, a @ b.T / norms, np.nan))


def similarity_across_time(
    run: Trajectory, task: str, other_run: Trajectory | None = None, other_task: str | None = None
) -> FloatArray:
    """Return the cosine of a task's gradient at each step with another's at each step.

    Parameters
    ----------
    run
        A run with ``sketches``.
    task
        One of its tasks.
    other_run
        The run to compare with; the same one by default.
    other_task
        The task of that run; the same name by default.

    Returns
    -------
    (step, other step) array
        Cosines, over the steps of the two ``sketches`` tables.

    Raises
    ------
    TrajlabError
        If a run has no sketches or no such task, or the sketches are not comparable.
    """
    other = run if other_run is None else other_run
    ours, theirs = run.table("sketches").attributes, other.table("sketches").attributes
    if run.shared != other.shared or any(ours.get(fact) != theirs.get(fact) for fact in _FACTS):
        raise TrajlabError(
            f"{run.path} and {other.path} have sketches of different kind, size, seed or "
            "parameters; record both with the same"
        )
    return sketch_cosine(_sketches(run, task), _sketches(other, other_task or task))


def stiffness(
    run: Trajectory, task: str, other_task: str | None = None, lag: int = 1
) -> tuple[float, float]:
    """Return how far a step against one gradient also follows another some rows later.

    Parameters
    ----------
    run
        A run with ``sketches``.
    task
        The task at the earlier row.
    other_task
        The task at the later row; the same by default.
    lag
        Rows between the two; 0 compares two tasks on one batch.

    Returns
    -------
    tuple of float
        Mean sign, and mean cosine, over all pairs of rows that are so far apart; NaN if none is.

    References
    ----------
    S. Fort et al., "Stiffness: A New Perspective on Generalization in Neural Networks", 2019,
    equations 3 and 4.
    """
    return _mean_at(_sketches(run, task), _sketches(run, other_task or task), lag)


def cosine_to_step(run: Trajectory, task: str) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return the cosine of a task's descent direction with the way that the weights really went.

    Whatever made the update: weights of a sum, a multi-task optimizer, momentum, weight decay.

    Parameters
    ----------
    run, task
        A run with ``sketches``, and one of its tasks.

    Returns
    -------
    (n,) steps, (n,) array
        From each recorded step to the next one: over several updates where not every step was
        recorded. Empty if the weights were not sketched.
    """
    table = run.table("sketches")
    if "weights" not in table or len(table["step"]) < 2:
        return np.empty(0, np.int64), np.empty(0)
    went = np.diff(np.asarray(table["weights"], np.float64), axis=0)
    down = -_sketches(run, task)[:-1]
    return table["step"][:-1], _row_cosine(went, down)


def time_frame(run: Trajectory, tasks: Sequence[str]) -> pd.DataFrame:
    """Return how alike each task's gradient stays: one row a task and lag of 1, 2, 4, … rows.

    Parameters
    ----------
    run
        A run; without ``sketches`` there are no rows.
    tasks
        Names of the tasks to read; those that the run does not train have no rows.

    Returns
    -------
    DataFrame
        `run, task, lag` (recorded rows), `steps_apart` (their median), `cosine` and `sign`, the
        means over all pairs of rows so far apart: Fort's stiffness of a task with itself.
    """
    if "sketches" not in run.tables:
        return pd.DataFrame()
    step = run.table("sketches")["step"]
    lags = [2**i for i in range(len(step).bit_length()) if 2**i < len(step)]
    made = []
    for task in (task for task in tasks if task in run.tasks):
        sketches = _sketches(run, task)
        for lag in lags:
            sign, cosine = _mean_at(sketches, sketches, lag)
            apart = float(np.median(step[lag:] - step[:-lag]))
            row = {"run": str(run.path), "task": task, "lag": lag, "steps_apart": apart}
            made.append({**row, "cosine": cosine, "sign": sign})
    return pd.DataFrame(made)


def _mean_at(earlier: FloatArray, later: FloatArray, lag: int) -> tuple[float, float]:
    """Return the mean sign and the mean of the cosines `lag` rows apart, NaN without any."""
    number = max(0, len(later) - lag)
    cosines = _row_cosine(earlier[:number], later[lag:])
    known = cosines[np.isfinite(cosines)]
    if not known.size:
        return np.nan, np.nan
    return float(np.sign(known).mean()), float(known.mean())


def _row_cosine(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the cosine of each row of one (n, k) array with that of another, NaN for zero ones."""
    sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(sizes > 0, np.einsum("ij,ij->i", a, b) / sizes, np.nan))


def _sketches(run: Trajectory, task: str) -> FloatArray:
    if task not in run.tasks:
        raise TrajlabError(f"{run.path} has no task {task!r}; it has {', '.join(run.tasks)}")
    number = run.tasks.index(task)
    portions = run.table("sketches").portions("sketch")
    return np.concatenate([sketch[:, number].astype(np.float64) for sketch in portions])
