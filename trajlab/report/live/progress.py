"""How far each run has come: what is recording, what ended, and what cannot be read."""

from typing import Any

import numpy as np
import pandas as pd

from trajlab.report.readable import readable
from trajlab.report.templates import filled
from trajlab.store import Runs, Trajectory

_NAMED = ("setting", "condition", "method", "seed")


def progress(runs: Runs, where: str) -> str:
    """Return the section that tells how far each run is.

    Parameters
    ----------
    runs
        Opened runs, and the files that could not be read.
    where
        The selection they are of.
    """
    rows = [standing(run) for run in runs]
    rows.sort(key=lambda row: row["status"] != "recording")
    return filled(
        "progress.html",
        runs=readable(pd.DataFrame(rows)) if rows else None,
        recording=sum(row["status"] == "recording" for row in rows),
        number=len(rows),
        skipped=[f"{path}: {reason}" for path, reason in runs.skipped],
        where=where,
    )


def standing(run: Trajectory) -> dict[str, Any]:
    """Return where a run stands: its name, status, metadata, step and losses of the tasks."""
    row: dict[str, Any] = {"run": run.path.name, "status": run.status}
    row |= {key: run.metadata[key] for key in _NAMED if key in run.metadata}
    for name, column in (("losses", "loss"), ("evaluations/train", "loss")):
        if name not in run.tables or not len(run.table(name)["step"]):
            continue
        table = run.table(name)
        row["step"] = max(int(table["step"][-1]), row.get("step", 0))
        last = np.atleast_1d(table[column][-1])
        told = "last loss" if name == "losses" else "training loss"
        row[told] = ", ".join(f"{value:.3g}" for value in last)
    return row
