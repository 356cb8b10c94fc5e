"""Rows of :func:`trajlab.analysis.conflict`: one a step, of one run or of Gram matrices alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlab.analysis.conflict import multitask, similarity
from trajlab.analysis.conflict.sketches import cosine_to_step
from trajlab.analysis.runs.quantities import recorded
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.errors import warn
from trajlab.lazy import pd
from trajlab.store import Trajectory

ZERO = "zero gradient"
MISSING = "not recorded"
MOST = 500_000  # cosines of a run that are read; more say no more, and take gigabytes


def pair_frame(gram: FloatArray, tasks: Sequence[str], layers: Sequence[str]) -> pd.DataFrame:
    """Return one row a step, layer and pair of tasks, from Gram matrices alone.

    Parameters
    ----------
    gram
        (step, layer, task, other_task) inner products of the tasks' gradients.
    tasks, layers
        Names of the tasks and layers.

    Returns
    -------
    DataFrame
        `row` (position on the step axis), `task_a`, `task_b`, `layer`, `cosine`,
        `magnitude_similarity`, `conflicting` and `reason`.
    """
    first, second = np.triu_indices(len(tasks), k=1)
    pair_of = (..., first, second)
    cosine = similarity.cosine(gram)[pair_of]
    squares = np.diagonal(gram, axis1=-2, axis2=-1)
    zero = (squares[..., first] == 0) | (squares[..., second] == 0)
    row, layer, pair = (index.ravel() for index in np.indices(cosine.shape))
    return pd.DataFrame(
        {
            "row": row,
            "task_a": np.asarray(tasks, object)[first][pair],
            "task_b": np.asarray(tasks, object)[second][pair],
            "layer": np.asarray(layers, object)[layer],
            "cosine": cosine.ravel(),
            "magnitude_similarity": similarity.magnitude_similarity(gram)[pair_of].ravel(),
            "conflicting": (cosine < 0).ravel(),
            "reason": np.select([zero, np.isnan(cosine)], [ZERO, MISSING], "").ravel(),
        }
    )


def similarity_frame(gram: FloatArray, weights: FloatArray, tasks: Sequence[str]) -> pd.DataFrame:
    """Return one row a step and task: cosine to the update and to the other tasks' part of it.

    Beside them the excess over 1/√K, which orthogonal gradients of equal norm have, the share of
    the gradient norm, and the conflict of all tasks together, equal for all tasks of a step.

    Parameters
    ----------
    gram
        (step, task, other_task) inner products over all shared parameters.
    weights
        (step, task) weights of the tasks in the update.
    tasks
        Names of the tasks.
    """
    to_update = similarity.cosine_to_update(gram, weights)
    to_others = similarity.cosine_to_others(gram, weights)
    row, task = (index.ravel() for index in np.indices(to_update.shape))
    squares = np.diagonal(gram, axis1=-2, axis2=-1)
    no_sum = np.isnan(to_update) | np.isnan(to_others)
    causes = {ZERO: squares == 0, MISSING: ~np.isfinite(squares), "zero sum": no_sum}
    reasons = np.select(list(causes.values()), list(causes), "")
    return pd.DataFrame(
        {
            "row": row,
            "task": np.asarray(tasks, object)[task],
            "cosine_to_update": to_update.ravel(),
            "excess": to_update.ravel() - len(tasks) ** -0.5,
            "cosine_to_others": to_others.ravel(),
            "norm_share": multitask.norm_share(gram).ravel(),
            "directional": np.repeat(multitask.directional(gram), len(tasks)),
            "magnitude": np.repeat(multitask.magnitude(gram), len(tasks)),
            "reason": reasons.ravel(),
        }
    )


def has_cosines(run: Trajectory) -> bool:
    """Tell whether cosines of its tasks' gradients are known, of its own or from another log."""
    gradients = "gradients" in run.tables and run.table("gradients").length > 0
    return gradients or cosines_alone(run)


def cosines_alone(run: Trajectory) -> bool:
    """Tell whether of a run's gradients the cosines are known alone, as another log had them.

    Those that trajlab corrects for noise have standard errors beside them.
    """
    if "gradients" in run.tables or "similarity" not in run.tables:
        return False
    columns = run.table("similarity")
    return "cosine" in columns and "se" not in columns and columns.length > 0


def spacing(run: Trajectory, name: str, cosines: int) -> int:
    """Return every how many matrices of a table are read; where not each is, a warning tells.

    Parameters
    ----------
    run
        The run.
    name
        The table.
    cosines
        How many are read of one of its rows.
    """
    length = run.table(name).length
    every = -(-length * cosines // MOST) or 1
    if every > 1:
        warn(f"{run.path} holds {length} matrices of {name}; one in {every} is read, evenly spaced")
    return every


def run_frames(
    run: Trajectory, tasks: Sequence[str], layers: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one run's rows of `pairs` and `similarity`, with its tasks in the order of `tasks`."""
    alone = cosines_alone(run)
    name = "similarity" if alone else "gradients"
    table = run.table(name)
    names = [task for task in tasks if task in table["task"]]
    order = [list(table["task"]).index(task) for task in names]
    layers = layers and not alone
    cosines = len(names) * (len(names) - 1) // 2 * (1 + (len(table["layer"]) if layers else 0))
    every = spacing(run, name, cosines)
    total = np.concatenate(list(table.thinned("cosine", every))) if alone else run.gram(every=every)
    total, step = total[:, order][:, :, order], table["step"][::every]
    if alone:  # gradients of norm 1 have these cosines; whatever norms enter is not known
        unit = np.where(np.eye(len(names), dtype=bool), 1.0, total)
        pairs = [pair_frame(unit[:, None], names, ["all"]).assign(magnitude_similarity=np.nan)]
        total = np.full_like(total, np.nan)
    else:
        pairs = [pair_frame(total[:, None], names, ["all"])]
    if layers:
        by_layer = np.concatenate(list(table.thinned("gram", every)))[:, :, order][:, :, :, order]
        pairs.append(pair_frame(by_layer, names, list(table["layer"])))
    frames = [pd.concat(pairs), similarity_frame(total, weights_in_update(run, step, names), names)]
    for frame in frames:
        frame["row"] = step[frame["row"]]
        frame.insert(0, "run", str(run.path))
    return (
        frames[0].rename(columns={"row": "step"}),
        frames[1].rename(columns={"row": "step"}),
    )


def weights_in_update(
    run: Trajectory, step: npt.NDArray[np.int64], tasks: Sequence[str]
) -> FloatArray:
    """Return the (step, task) weights in the update: the last ones of each step, 1 if unknown."""
    weights = np.ones((len(step), len(tasks)))
    if "losses" not in run.tables or "weight" not in run.table("losses"):
        return weights
    losses = run.table("losses")
    steps, values = losses["step"], losses["weight"]
    order = [list(losses["task"]).index(task) for task in tasks]
    last = pd.DataFrame(values[:, order], index=steps).groupby(level=0).last()
    return last.reindex(step).fillna(1.0).to_numpy()


def measured_frames(run: Trajectory, tasks: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return what other probes tell of each task's gradient, one row a step and task.

    Parameters
    ----------
    run, tasks
        The run, and those of its tasks that are asked for.

    Returns
    -------
    dict of str to DataFrame
        Columns `run, step, task` and the measure of that name: the ``noise_scale`` of the gradient,
        and its ``cosine_to_step``, the way that the weights went until the next sketch.
    """

    def frame(name: str, read: Callable[[str], tuple[npt.NDArray[np.int64], FloatArray]]) -> Any:
        parts = [(task, *read(task)) for task in tasks if task in run.tasks]
        made = [pd.DataFrame({"step": at, "task": task, name: v}) for task, at, v in parts]
        return pd.concat(made).assign(run=str(run.path))

    frames = {"noise_scale": frame("noise_scale", lambda t: recorded(run, t, "noise/noise_scale"))}
    if "sketches" in run.tables:
        frames["cosine_to_step"] = frame("cosine_to_step", lambda t: cosine_to_step(run, t))
    return frames
