"""How far a study is, and how long the rest will take."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trajlab.store import Trajectory
from trajlab.store.parts import exists
from trajlab.study.file import Study
from trajlab.study.grid import Best, Stage, cost
from trajlab.study.run import Run
from trajlab.study.selection import runs

MINUTE = 60
Configurations = Sequence[Mapping[str, Any]]


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
        Minutes that the rest takes one worker, by what finished runs took; NaN where there is none
        of a setting.
    """

    stage: str
    wanted: int
    finished: int
    diverged: int
    failed: int
    begun: int
    worker_minutes_left: float


def state(study: Study, stage: Stage, pace: Mapping[str, float]) -> State:
    """Look at the files of one stage's runs.

    Parameters
    ----------
    study, stage
        Which.
    pace
        Seconds of one pass of a task over its data, by setting, as `measured` returns them.
    """
    of_stage = runs(study, stage)
    if of_stage is None:
        open_ = stage.configurations()
        return State(stage.name, len(open_), 0, 0, 0, 0, duration(open_, pace) / MINUTE)
    trajectories = [run.trajectory() for run in of_stage]
    missing = [run for run in of_stage if not run.settled]
    finished = [seen for seen in trajectories if seen is not None]
    return State(
        stage.name,
        wanted=len(of_stage),
        finished=len(finished),
        diverged=sum(map(_diverged, finished)),
        failed=len(of_stage) - len(finished) - len(missing),
        begun=sum(exists(run.path) for run in missing),
        worker_minutes_left=duration([run.configuration for run in missing], pace) / MINUTE,
    )


@dataclass(frozen=True)
class Outlook:
    """What a study is and still costs, runs that stages share counted once.

    Attributes
    ----------
    wanted, left
        Runs in all, and those neither finished nor failed.
    open
        The configurations of what is left.
    known
        Whether all choices are made; if not, runs that turn out equal are counted apart.
    """

    wanted: int
    left: int
    open: Configurations
    known: bool

    @property
    def passes(self) -> int:
        """Passes of a task over its data that are not yet trained."""
        return sum(map(cost, self.open))


def outlook(study: Study) -> Outlook:
    """Count the runs of all stages."""
    resolved = [(stage, runs(study, stage)) for stage in study.stages]
    known = {run.path: run for _, of_stage in resolved for run in of_stage or ()}
    open_ = [c for stage, of_stage in resolved if of_stage is None for c in stage.configurations()]
    missing = [run.configuration for run in known.values() if not run.settled]
    return Outlook(
        wanted=len(known) + len(open_),
        left=len(missing) + len(open_),
        open=[*missing, *open_],
        known=not open_,
    )


def measured(study: Study) -> dict[str, float]:
    """Return the seconds that one pass of a task over its data takes, with evaluations and probes.

    By setting the median over the finished runs of the last stage that has any, for what is left is
    most like them; runs of one epoch, which is evaluated more often than later ones, only where
    there are no others. Nothing of a setting without finished runs.
    """
    pace: dict[bool, dict[str, float]] = {False: {}, True: {}}
    for stage in reversed(study.stages):
        rates: dict[tuple[bool, str], list[float]] = {}
        for run in runs(study, stage) or ():
            if (trajectory := run.trajectory()) is not None:
                several = run.configuration["epochs"] > 1
                own = rates.setdefault((several, run.configuration["setting"]), [])
                own.append(_pass_seconds(trajectory))
        for (several, setting), own in rates.items():
            if setting not in pace[several] and np.isfinite(own).any():
                pace[several][setting] = float(np.nanmedian(own))
    return pace[False] | pace[True]


def duration(configurations: Configurations, pace: Mapping[str, float]) -> float:
    """Return the seconds that runs take one after the other; NaN where a setting has no pace."""
    return float(sum(cost(own) * pace.get(own["setting"], np.nan) for own in configurations))


def tried(study: Study, configuration: Mapping[str, Any]) -> float:
    """Return the pace of a setting, from two epochs of a run of it in a temporary folder.

    Parameters
    ----------
    study
        Where to train and where data lie.
    configuration
        Of the run; where a value waits for a choice, as `Stage.configurations` has it, the run
        takes what costs the same.
    """
    plain = {k: 0.01 if isinstance(v, Best) else v for k, v in configuration.items()}
    with tempfile.TemporaryDirectory() as folder:
        short = Run(Path(folder), {**plain, "epochs": 2}, study.device, study.root)
        short.train()
        trajectory = Trajectory(short.path)
        return _pass_seconds(trajectory)


def seconds(run: Trajectory, *, since: float = 0.0) -> float:
    """Return how long a run took, from its first step to its last row, without interruptions.

    Where it was resumed, the time between the last row that was kept and the resumption does not
    count; NaN where losses are not recorded.

    Parameters
    ----------
    run
        Which.
    since
        Rows before this second of its clock do not count.
    """
    if "losses" not in run.tables:
        return float("nan")
    tables = [name for name in run.tables if name == "losses" or name.startswith("evaluations/")]
    clocks = [table["wall_time"] for table in map(run.table, tables) if "wall_time" in table]
    times = np.unique(np.concatenate(clocks))
    times = times[~(times < since)]  # NaN, of runs without a clock, stays and is the answer
    created = datetime.fromisoformat(run.created)
    resumed = [datetime.fromisoformat(session.started) for session in run.sessions[1:]]
    pauses = [_before(times, (moment - created).total_seconds()) for moment in resumed]
    return float(np.ptp(times) - sum(pauses))


def _before(times: NDArray[np.float64], moment: float) -> float:
    """Return the time from the last of `times` that is not after `moment` to `moment`."""
    earlier = times[times <= moment]
    return float(moment - earlier[-1]) if earlier.size and earlier.size < times.size else 0.0


def _pass_seconds(run: Trajectory) -> float:
    """Return what one pass of a task over its data took, with its evaluations and probes.

    The first epoch, with preparations and early evaluations, counts only where it is the only one.
    """
    losses = run.table("losses")
    first, *later = np.unique(losses["epoch"])
    if not later:
        return seconds(run) / len(run.tasks)
    since = losses["wall_time"][losses["epoch"] > first].min()
    return seconds(run, since=since) / (len(later) * len(run.tasks))


def _diverged(run: Trajectory) -> bool:
    return not np.isfinite(run.table("evaluations/train")["loss"][-1]).all()
