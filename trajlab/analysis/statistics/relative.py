"""The mean relative change over tasks, which multi-task papers call Δm, with its interval."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trajlab.analysis.statistics.intervals import Difference, FloatArray, t_interval
from trajlab.lazy import pd


def mean_relative_change(
    score: FloatArray,
    task: npt.ArrayLike,
    treated: npt.NDArray[np.bool_],
    run: npt.ArrayLike,
    confidence: float = 0.95,
) -> Difference:
    """Return Δm in percent: the mean over tasks of (score − baseline's) / |baseline's|.

    The interval is over runs, conditional on these tasks, by the delta method: each run adds what a
    change of its scores would change Δm by, and runs of the same tasks are exchangeable.

    Parameters
    ----------
    score
        (n,) finite, one a run and task; more is better.
    task
        (n,) names; a metric of a task counts as a task.
    treated, run, confidence
        As in :func:`trajlab.analysis.statistics.mixed.task_mean`.

    Returns
    -------
    Difference
        Without an interval where some tasks' runs are alone, with NaN throughout where the
        baseline of a task is 0.

    References
    ----------
    K.-K. Maninis, I. Radosavovic, I. Kokkinos, "Attentive Single-Tasking of Multiple Tasks", CVPR
    2019: Δm.
    """
    rows = pd.DataFrame({"score": score, "task": task, "treated": treated, "run": run})
    means = rows.groupby(["task", "treated"])["score"].mean().unstack("treated")
    base = means[False].abs()
    if (base == 0).any():
        return Difference(*np.full((5,), np.nan))
    slope = 100 / len(means) / base
    estimate = float((slope * (means[True] - means[False])).sum())
    # d/d baseline of (treated − baseline) / |baseline|
    slopes = {True: slope, False: -slope * np.sign(means[False]) * means[True] / base}
    variances: list[tuple[float, float]] = []
    for side, own in rows.groupby("treated"):
        count = own.groupby("task")["score"].transform("size")
        centred = own["score"] - own.groupby("task")["score"].transform("mean")
        part = centred * own["task"].map(slopes[bool(side)]) / count
        totals = part.groupby(own["run"]).sum()
        trained = own.groupby("run")["task"].agg(lambda names: "\0".join(sorted(names)))
        for _, alike in totals.groupby(trained):
            n = len(alike)
            spread = np.nan if n < 2 else n * float(alike.var(ddof=1))
            variances.append((spread, n - 1))
    variance = sum(spread for spread, _ in variances)
    if not variance > 0:
        return Difference(*np.array([estimate, np.nan, np.nan, np.nan, np.nan]))
    freedom = variance**2 / sum(spread**2 / free for spread, free in variances if spread > 0)
    return t_interval(
        np.asarray(estimate), np.asarray(np.sqrt(variance)), np.asarray(freedom), confidence
    )
