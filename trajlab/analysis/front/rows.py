"""What fronts are made of: one row a run, its objectives where it is chosen and where measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trajlab.analysis.front.budget import Budget, smallest, within
from trajlab.analysis.runs.evaluations import Evaluations, read
from trajlab.analysis.runs.groups import Group
from trajlab.analysis.runs.recorded import evaluated, metrics
from trajlab.analysis.runs.recorded import higher_is_better as direction
from trajlab.errors import TrajlabError
from trajlab.lazy import pd

WHERE = ("selection", "report", "training")  # the values of the column `on`


def run_frame(
    groups: Sequence[Group],
    metric: str | None,
    split: str,
    selection_split: str,
    budget: Budget = "whole",
) -> tuple[pd.DataFrame, dict[str, bool]]:
    """Return three rows a run, with a column an objective, and whether more of each is better.

    Parameters
    ----------
    groups
        Groups of runs.
    metric
        The metric of every task; every metric of each task if not given.
    split, selection_split
        Where it is reported, and where checkpoints and configurations are chosen.
    budget
        What every run may have spent where it is read.

    Returns
    -------
    DataFrame, dict
        Columns of the frame: the metadata, the group's keys, `run`, `on` (``selection``,
        ``report``, or ``training``: the training set at the end), one an objective, and
        ``optimism <objective>``: how much more validation lies above the reported split at the
        chosen checkpoints than at the last ones. An objective has the name of its task; where the
        task has several metrics, the metric's after it.
    """
    every = [run for group in groups for run in group.runs if evaluated(run, split)]
    most = smallest(every, budget)
    names = {
        task: [metric] if metric else metrics(every, split, task)
        for task in dict.fromkeys(task for run in every for task in run.tasks)
    }
    rows: list[dict[str, Any]] = []
    better: dict[str, bool] = {}
    for group in groups:
        for run in group.runs:
            head = {**run.metadata, **group.keys, "run": str(run.path)}
            values: dict[str, dict[str, float]] = {where: {} for where in WHERE}
            for task in run.tasks if evaluated(run, split) else ():
                for name in names[task]:
                    objective = task if len(names[task]) == 1 else f"{task} {name}"
                    better[objective] = direction(run, split, name)
                    evaluations = within(
                        run, read(run, task, name, split, selection_split), budget, most
                    )
                    if evaluations.diverged or not evaluations.step.size:
                        continue
                    sign = 1 if better[objective] else -1
                    chosen, reported, optimism = scores(evaluations)
                    values["selection"][objective] = sign * chosen
                    values["report"][objective] = sign * reported
                    values["report"][f"optimism {objective}"] = optimism
                    if not evaluated(run, "train"):
                        continue
                    trained = within(run, read(run, task, name, "train"), budget, most)
                    if trained.step.size:
                        values["training"][objective] = sign * float(trained.end_score())
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
        raise TrajlabError(
            "the table has no column 'method' that tells the fronts apart; add it, or name the "
            "baseline by the column that does: --baseline optimizer=adamw"
        )
    roles: Any = {"train": "training", selection_split: "selection", split: "report"}
    if "split" in frame:
        frame = frame.assign(on=frame["split"].map(roles)).dropna(subset=["on"])
    else:
        frame = pd.concat([frame.assign(on=where) for where in WHERE[:2]], ignore_index=True)
    return frame, {name: way == "max" for name, way in objectives.items()}
