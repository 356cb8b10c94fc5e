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

MINUTE = 60


@dataclass(frozen=True)
class State:
    """How far one stage is.

    Attributes
    ----------
    stage
        Name of the stage.
    wanted
        Runs in all, as far as is known before choices are made.
    finished, diverged, failed, begun
        Runs that are complete, those of them whose loss ended infinite or NaN, those that ended in
        an error, and runs to go on with.
    worker_minutes_left
        Minutes that the rest takes one worker, by what finished runs took; NaN without any.
    """

    stage: str
    wanted: int
    finished: int
    diverged: int
    failed: int
    begun: int
    worker_minutes_left: float


def state(study: Study, stage: Stage, pace: float) -> State:
    """Look at the files of one stage's runs.

    Parameters
    ----------
    study, stage
        Which.
    pace
        Seconds of one pass of a task over its data, as `measured` returns it.
    """
    found = runs(study, stage)
    if found is None:
        minutes = stage.cost * pace / MINUTE
        return State(stage.name, len(stage.configurations()), 0, 0, 0, 0, minutes)
    trajectories = [run.trajectory() for run in found]
    missing = [run for run in found if not run.settled]
    finished = [seen for seen in trajectories if seen is not None]
    return State(
        stage.name,
        wanted=len(found),
        finished=len(finished),
        diverged=sum(map(_diverged, finished)),
        failed=len(found) - len(finished) - len(missing),
        begun=sum(exists(run.path) for run in missing),
        worker_minutes_left=sum(cost(run.configuration) for run in missing) * pace / MINUTE,
    )


@dataclass(frozen=True)
class Outlook:
    """What a study is and still costs, runs that stages share counted once.

    Attributes
    ----------
    wanted, left
        Runs in all, and those neither finished nor failed.
    passes
        Passes of a task over its data that are not yet trained.
    known
        Whether all choices are made; if not, runs that turn out equal are counted apart.
    """

    wanted: int
    left: int
    passes: int
    known: bool


def outlook(study: Study) -> Outlook:
    """Count the runs of all stages."""
    resolved = [(stage, runs(study, stage)) for stage in study.stages]
    known = {run.path: run for _, found in resolved for run in found or ()}
    open_ = [c for stage, found in resolved if found is None for c in stage.configurations()]
    missing = [run.configuration for run in known.values() if not run.settled]
    return Outlook(
        wanted=len(known) + len(open_),
        left=len(missing) + len(open_),
        passes=sum(map(cost, [*missing, *open_])),
        known=not open_,
    )


def measured(study: Study) -> float:
    """Return the seconds that one pass of a task over its data takes, with its evaluation.

    The median over the finished runs of the last stage that has any, for what is left is most like
    them; NaN without finished runs.
    """
    for stage in reversed(study.stages):
        found = [run.trajectory() for run in runs(study, stage) or ()]
        rates = [_epoch_seconds(run) / len(run.tasks) for run in found if run is not None]
        if np.isfinite(rates).any():
            return float(np.nanmedian(rates))
    return float("nan")


def tried(study: Study) -> float:
    """Return what `measured` does, from two epochs of the first run in a temporary folder."""
    first = (runs(study, study.stages[0]) or [])[0]
    with tempfile.TemporaryDirectory() as folder:
        short = replace(
            first, folder=Path(folder), configuration={**first.configuration, "epochs": 2}
        )
        short.train()
        found = Trajectory(short.path)
        return _epoch_seconds(found) / len(found.tasks)


def seconds(run: Trajectory) -> float:
    """Return how long a run took, without interruptions: its epochs times the median one.

    Of a single epoch, from its first step to its last; NaN where losses are not recorded.
    """
    if "losses" not in run.tables:
        return float("nan")
    table = run.table("losses")
    epochs = len(np.unique(table["epoch"]))
    return epochs * _epoch_seconds(run) if epochs > 1 else float(np.ptp(table["wall_time"]))


def _epoch_seconds(run: Trajectory) -> float:
    """Return the median time from the beginning of one epoch to that of the next."""
    table = run.table("losses")
    _, first = np.unique(table["epoch"], return_index=True)
    between = np.diff(table["wall_time"][first])
    return float(np.median(between)) if between.size else float("nan")


def _diverged(run: Trajectory) -> bool:
    return not np.isfinite(run.table("evaluations/train")["loss"][-1]).all()
