"""Noise-corrected similarity of task gradients, as recorded, and what it allows one to say.

The cosine of two mini-batch gradients mostly measures the noise of the batches. The table
``similarity`` holds the cosine of the full gradients instead, estimated across batches at fixed
parameters; a task's `ceiling` beside it is the cosine that two batches of that task have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlab.analysis.conflict.rows import spacing
from trajlab.analysis.statistics.distributions import normal_quantile
from trajlab.analysis.statistics.intervals import mean_interval
from trajlab.lazy import pd
from trajlab.store import Trajectory

NOISE = "noise-dominated"
NOT_RECORDED = "not recorded"
_COLUMNS = ("corrected_cosine", "corrected_low", "corrected_high")


def corrected_frame(run: Trajectory, tasks: Sequence[str]) -> pd.DataFrame:
    """Return one row a measured step and pair of tasks of one run.

    Parameters
    ----------
    run
        A run; without a table ``similarity`` there are no rows.
    tasks
        Names of the tasks to read, in order.

    Returns
    -------
    DataFrame
        `run, step, task_a, task_b, cosine, se, ceiling_a, ceiling_b, reason`. A cosine that is NaN
        has the reason "noise-dominated" where it was recorded that a gradient is not told from 0,
        and "not recorded" elsewhere: what comes from other logs may have no value for many reasons.
    """
    if "similarity" not in run.tables or "cosine" not in run.table("similarity"):
        return pd.DataFrame()
    table = run.table("similarity")
    names = [task for task in tasks if task in table["task"]]
    order = [list(table["task"]).index(task) for task in names]
    first, second = np.triu_indices(len(names), k=1)
    pair = (slice(None), np.array(order)[first], np.array(order)[second])
    every = spacing(run, "similarity", len(first))
    step = table["step"][::every]
    shape = (len(step), len(table["task"]), len(table["task"]))

    def read(name: str, absent: npt.NDArray[Any]) -> npt.NDArray[Any]:
        values = np.concatenate(list(table.thinned(name, every))) if name in table else absent
        return values.astype(absent.dtype)

    cosine, se = (read(name, np.full(shape, np.nan))[pair] for name in ("cosine", "se"))
    ceiling = read("ceiling", np.full(shape[:2], np.nan))
    flags = read("noise_dominated", np.zeros(shape[:2], bool))
    noise = flags[:, np.array(order)[first]] | flags[:, np.array(order)[second]]
    row, which = (index.ravel() for index in np.indices(cosine.shape))
    return pd.DataFrame(
        {
            "run": str(run.path),
            "step": step[row],
            "task_a": np.asarray(names, object)[first][which],
            "task_b": np.asarray(names, object)[second][which],
            "cosine": cosine.ravel(),
            "se": se.ravel(),
            "ceiling_a": ceiling[:, np.array(order)[first]].ravel(),
            "ceiling_b": ceiling[:, np.array(order)[second]].ravel(),
            "reason": np.select(
                [~np.isnan(cosine), noise], ["", NOISE], default=NOT_RECORDED
            ).ravel(),
        }
    )


def summarise_corrected(rows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return one row a pair of tasks: the mean over measured steps, then over runs.

    Parameters
    ----------
    rows
        Of :func:`corrected_frame`, of the runs of one group.
    confidence
        Coverage of the interval: Student's t over runs; for a single run the normal one of the
        jackknife standard error, averaged over steps because they share their batches.

    Returns
    -------
    DataFrame
        `task_a, task_b, corrected_cosine, corrected_low, corrected_high, ceiling, n_corrected,
        n_noise_dominated, reading`; no reading where no cosine was recorded.
    """
    made = []
    for names, part in rows.groupby(["task_a", "task_b"], sort=False):
        known = part[part["cosine"].notna()]
        runs = known.groupby("run", sort=False)[["cosine", "se"]].mean()
        if len(runs) == 1:
            middle = float(runs["cosine"].iloc[0])
            half = float(normal_quantile((1 + confidence) / 2)) * float(runs["se"].iloc[0])
            interval = middle, middle - half, middle + half
        else:
            mean = mean_interval(runs["cosine"].to_numpy(), confidence)
            interval = float(mean.estimate), float(mean.low), float(mean.high)
        made.append(
            {
                **dict(zip(("task_a", "task_b"), names, strict=True)),
                **dict(zip(_COLUMNS, interval, strict=True)),
                "ceiling": float(part[["ceiling_a", "ceiling_b"]].mean().mean()),
                "n_corrected": len(runs),
                "n_noise_dominated": (noise := int((part["reason"] == NOISE).sum())),
                "reading": reading(*interval[1:]) if len(runs) else NOISE if noise else None,
            }
        )
    return pd.DataFrame(made)


def reading(low: float, high: float) -> str:
    """Say what an interval of a corrected cosine allows: the last line of the decision table."""
    if high < 0:
        return "oppose"
    return "align" if low > 0 else "cannot tell"
