"""What is in the given runs."""

from __future__ import annotations

from trajlab.lazy import pd
from trajlab.store import Runs


def inventory(runs: Runs) -> dict[str, pd.DataFrame]:
    """List runs, what they recorded, and the files that could not be read.

    Parameters
    ----------
    runs
        Opened runs.

    Returns
    -------
    dict of str to DataFrame
        ``runs``: one row a run with its metadata; ``tables``: one row a table, with the number of
        runs that have it, its rows in all of them, its last step and its columns; and, if there
        are any, ``skipped``: files and reasons.
    """
    listed = [
        {
            "run": str(run.path),
            "status": run.status,
            **run.metadata,
            "tasks": ", ".join(run.tasks),
            "shared": len(run.shared),
            "problems": " ".join(run.problems) or None,
        }
        for run in runs
    ]
    tables = {"runs": pd.DataFrame(listed), "tables": _tables(runs)}
    if runs.skipped:
        tables["skipped"] = pd.DataFrame(
            {"file": str(path), "reason": reason} for path, reason in runs.skipped
        )
    return tables


def _tables(runs: Runs) -> pd.DataFrame:
    listed = []
    for name in dict.fromkeys(name for run in runs for name in run.tables):
        views = [run.table(name) for run in runs if name in run.tables]
        steps = [step for view in views for step in view["step"]]
        columns = dict.fromkeys(column.name for view in views for column in view.declared.columns)
        listed.append(
            {
                "table": name,
                "runs": len(views),
                "rows": len(steps),
                "last_step": max(steps, default=None),
                "columns": ", ".join(columns),
            }
        )
    return pd.DataFrame(listed)
