"""Conflict between gradients of examples beside that between gradients of tasks."""

from __future__ import annotations

import numpy as np

from trajlab.analysis.statistics.intervals import mean_interval
from trajlab.lazy import pd
from trajlab.store import Trajectory

EXAMPLES, TASKS, SAME = "examples of a task", "tasks", "tasks, same examples"
MEASURES = ("cosine", "negative", "magnitude")
_PREFIX = {EXAMPLES: "", TASKS: "", SAME: "same_"}


def example_frame(run: Trajectory) -> pd.DataFrame:
    """Return one row a recorded step, size and kind of pair: means over tasks or pairs of them.

    Parameters
    ----------
    run
        The run; without the table ``example_conflict`` there are no rows.

    Returns
    -------
    DataFrame
        `run, step, size, between, cosine, negative, magnitude`; NaN where none was measured.
    """
    columns = ["run", "step", "size", "between", *MEASURES]
    if "example_conflict" not in run.tables:
        return pd.DataFrame(columns=columns)
    table = run.table("example_conflict")
    alone = np.eye(len(table["task"]), dtype=bool)
    once = np.triu(np.ones_like(alone), 1)
    frames = []
    for between, chosen in ((EXAMPLES, alone), (TASKS, once), (SAME, once)):
        values = {
            name: _mean(np.asarray(table[_PREFIX[between] + name], float)[:, :, chosen])
            for name in MEASURES
        }
        steps, sizes = np.asarray(table["step"]), list(table["size"])
        frames.append(
            pd.DataFrame(
                {
                    "run": str(run.path),
                    "step": np.repeat(steps, len(sizes)),
                    "size": np.tile(sizes, len(steps)),
                    "between": between,
                    **{name: found.ravel() for name, found in values.items()},
                }
            )
        )
    found = pd.concat(frames, ignore_index=True)
    return found[found[list(MEASURES)].notna().any(axis=1)]


def summarise_examples(rows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return one row a size and kind of pair: the mean over training, then over runs.

    Parameters
    ----------
    rows
        Of :func:`example_frame`, of the runs of one group.
    confidence
        Coverage of the t intervals over runs, ``<measure>_low`` to ``<measure>_high``.
    """
    made = []
    for (size, between), part in rows.groupby(["size", "between"], sort=False) if len(rows) else ():
        row: dict[str, object] = {"size": size, "between": between}
        for name in MEASURES:
            values = part.groupby("run", sort=False)[name].mean().dropna().to_numpy(float)
            mean = mean_interval(values, confidence)
            row |= {
                name: float(mean.estimate),
                f"{name}_low": float(mean.low),
                f"{name}_high": float(mean.high),
            }
        runs = part["run"].nunique()
        few = "" if runs > 1 else "fewer than two runs: no interval"
        made.append({**row, "n_runs": runs, "reason": few})
    return pd.DataFrame(made)


def _mean(values: np.ndarray) -> np.ndarray:
    """Return means over the last axis of what is known, NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(-1)
    total = np.where(known, values, 0).sum(-1)
    unknown = np.full(count.shape, np.nan)
    return np.asarray(np.divide(total, count, out=unknown, where=count > 0))
