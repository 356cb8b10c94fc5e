"""How far a study is, and how long the rest will take."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trajlab.store import Trajectory
from trajlab.store.parts import exists
from trajlab.study.file import Study
from trajlab.study.grid import Stage, cost
from trajlab.study.selection import runs


@dataclass(frozen=True)
class State:
    """How far one stage is.

    Attributes
    ----------
    stage
        Its name.
    wanted
        Runs in all, as far as is known before choices are made.
    finished, diverged, begun
        Runs that are complete, those of them whose loss ended infinite or NaN, and runs to go on
        with.
    cost_left
        Passes of a task over its data that are not yet trained.
    """

    stage: str
    wanted: int
    finished: int
    diverged: int
    begun: int
    cost_left: int


def state(study: Study, stage: Stage) -> State:
    """Look at the files of one stage's runs."""
    found = runs(study, stage)
    if found is None:
        return State(stage.name, len(stage.configurations()), 0, 0, 0, stage.cost)
    trajectories = [run.trajectory() for run in found]
    missing = [run for run, seen in zip(found, trajectories, strict=True) if seen is None]
    finished = [seen for seen in trajectories if seen is not None]
    return State(
        stage.name,
        wanted=len(found),
        finished=len(finished),
        diverged=sum(map(_diverged, finished)),
        begun=sum(exists(run.path) for run in missing),
        cost_left=sum(cost(run.configuration) for run in missing),
    )


def seconds_each(study: Study) -> float:
    """Return the seconds that one pass of a task over its data takes, with its evaluation.

    From finished runs; without any, the first run is trained for two epochs in a temporary folder.

    Parameters
    ----------
    study
        The study.
    """
    for stage in study.stages:
        seen = [(run, run.trajectory()) for run in runs(study, stage) or []]
        rates = [_epoch_seconds(found) / len(found.tasks) for _, found in seen if found is not None]
        if np.isfinite(rates).any():
            return float(np.nanmedian(rates))
    first = (runs(study, study.stages[0]) or [])[0]
    with tempfile.TemporaryDirectory() as folder:
        short = replace(
            first, folder=Path(folder), configuration={**first.configuration, "epochs": 2}
        )
        short.train()
        found = Trajectory(short.path)
        return _epoch_seconds(found) / len(found.tasks)


def _epoch_seconds(run: Trajectory) -> float:
    """Return the median time from the beginning of one epoch to that of the next."""
    table = run.table("losses")
    _, first = np.unique(table["epoch"], return_index=True)
    between = np.diff(table["wall_time"][first])
    return float(np.median(between)) if between.size else float("nan")


def _diverged(run: Trajectory) -> bool:
    return not np.isfinite(run.table("evaluations/train")["loss"][-1]).all()
