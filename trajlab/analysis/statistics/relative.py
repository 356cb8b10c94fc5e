"""The mean relative change over tasks, which multi-task papers call Δm, with its interval."""

from __future__ import annotations

import numpy as np

from trajlab.analysis.statistics.intervals import Difference, t_interval
from trajlab.analysis.statistics.task_scores import TaskScores


def mean_relative_change(scores: TaskScores, confidence: float = 0.95) -> Difference:
    """Return Δm in percent: the mean over tasks of (score − baseline's) / |baseline's|.

    The interval is over runs, conditional on these tasks, by the delta method: each run adds what a
    change of its scores would change Δm by, and runs of the same tasks are exchangeable.

    Parameters
    ----------
    scores
        Scores of which more is better; a metric of a task counts as a task.
    confidence
        Coverage.

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
    score, task, treated, run = scores
    tasks, of_task = np.unique(np.asarray(task), return_inverse=True)
    runs, of_run = np.unique(np.asarray(run), return_inverse=True)
    cell = np.asarray(treated, np.intp), of_task
    count, total = np.zeros((2, 2, len(tasks)))
    np.add.at(count, cell, 1)
    np.add.at(total, cell, score)
    baseline, mean = total / count
    base = np.abs(baseline)
    if (base == 0).any():
        return Difference(*np.full((5,), np.nan))
    slope = 100 / len(tasks) / base
    estimate = float((slope * (mean - baseline)).sum())
    # d/d baseline of (treated − baseline) / |baseline|
    slopes = np.array([-slope * np.sign(baseline) * mean / base, slope])
    part = (score - (total / count)[cell]) * (slopes / count)[cell]
    variances: list[tuple[float, float]] = []
    for side in (False, True):
        trained, own = np.zeros((2, len(runs), len(tasks)))
        of_side = np.asarray(treated) == side
        np.add.at(trained, (of_run[of_side], of_task[of_side]), 1)
        np.add.at(own, (of_run[of_side], of_task[of_side]), part[of_side])
        there = trained.any(axis=1)
        kinds, kind = np.unique(trained[there], axis=0, return_inverse=True)
        totals = own[there].sum(axis=1)
        for number in range(len(kinds)):
            alike = totals[kind == number]
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
