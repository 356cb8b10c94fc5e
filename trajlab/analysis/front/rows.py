"""What fronts are made of: one row a run, its objectives where it is chosen and where measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from trajlab.analysis.runs.evaluations import Evaluations, evaluated, metrics, read
from trajlab.analysis.runs.evaluations import higher_is_better as direction
from trajlab.analysis.runs.groups import Group
from trajlab.errors import TrajlabError

WHERE = ("selection", "report")  # the two values of the column `on`


def run_frame(
    found: Sequence[Group], metric: str | None, split: str, selection_split: str
) -> tuple[pd.DataFrame, dict[str, bool]]:
    """Return two rows a run, with a column a task, and whether more of each is better.

    Parameters
    ----------
    found
        Groups of runs.
    metric
        The same for every task; the first one of each task if not given.
    split, selection_split
        Where it is reported, and where checkpoints and configurations are chosen.

    Returns
    -------
    DataFrame, dict
        Columns of the frame: the metadata, the group's keys, `run`, `on` (``selection`` or
        ``report``), one a task, and ``optimism <task>``: how much more validation lies above the
        reported split at the chosen checkpoints than at the last ones.
    """
    rows: list[dict[str, Any]] = []
    better: dict[str, bool] = {}
    for item in found:
        for run in item.runs:
            head = {**run.metadata, **item.keys, "run": str(run.path)}
            values: dict[str, dict[str, float]] = {where: {} for where in WHERE}
            for task in run.tasks:
                if not evaluated(run, split):
                    continue
                name = metric or metrics([run], split, task)[0]
                better[task] = direction(run, split, name)
                own = read(run, task, name, split, selection_split)
                if own.diverged or not own.step.size:
                    continue
                sign = 1 if better[task] else -1
                on, reported, optimism = scores(own)
                values["selection"][task] = sign * on
                values["report"] |= {task: sign * reported, f"optimism {task}": optimism}
            rows.extend({**head, "on": where, **values[where]} for where in WHERE)
    return pd.DataFrame(rows), better


def scores(run: Evaluations) -> tuple[float, float, float]:
    """Return a run's score on validation and as reported, and the optimism of choosing by it.

    Parameters
    ----------
    run
        Without checkpoints to choose from, the last 10 % are taken, and validation and optimism
        are NaN.
    """
    if not run.selectable():
        return np.nan, float(run.end_score()), np.nan
    best = run.best()
    last = slice(-int(np.ceil(run.score.size / 10)), None)
    lead = run.selection - run.score
    optimism = float(lead[best].mean() - np.nanmean(lead[last]))
    return float(run.selection[best].mean()), float(run.best_score()), optimism


def table_frame(
    rows: pd.DataFrame, objectives: Mapping[str, str], split: str, selection_split: str
) -> tuple[pd.DataFrame, dict[str, bool]]:
    """Return a user's table in the form of :func:`run_frame`.

    Parameters
    ----------
    rows
        One row a run, or one a run and `split`.
    objectives
        ``max`` or ``min`` for each column.
    split, selection_split
        Values of the column `split` that are reported and chosen on.

    Raises
    ------
    TrajlabError
        If no objective is named, or one is missing, not numeric, or neither ``max`` nor ``min``.
    """
    if not objectives:
        raise TrajlabError("name the objectives of the table, as column=max or column=min")
    for name, way in objectives.items():
        if way not in ("max", "min"):
            raise TrajlabError(f"objective {name!r} must be max or min, not {way!r}")
        if name not in rows:
            known = ", ".join(map(str, rows))
            raise TrajlabError(f"there is no column {name!r} for an objective; there are {known}")
        if not pd.api.types.is_numeric_dtype(rows[name]):
            raise TrajlabError(f"objective {name!r} is not numeric; correct the column")
    frame = rows.assign(**{key: rows.get(key, "") for key in ("setting", "condition")})
    if "method" not in frame:
        raise TrajlabError("the table has no column 'method' that tells the fronts apart; add it")
    roles: Any = {selection_split: "selection", split: "report"}
    if "split" in frame:
        frame = frame.assign(on=frame["split"].map(roles)).dropna(subset=["on"])
    else:
        frame = pd.concat([frame.assign(on=where) for where in WHERE], ignore_index=True)
    return frame, {name: way == "max" for name, way in objectives.items()}
