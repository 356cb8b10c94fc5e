"""What a study has trained, by stage."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store import Runs
from trajlab.study.file import read
from trajlab.study.selection import runs


def finished(file: Path, stages: Sequence[str] = (), folder: Path | None = None) -> Runs:
    """Return the finished runs of some stages of a study, each once.

    Parameters
    ----------
    file
        The study file.
    stages
        Names of its stages; all of them by default.
    folder
        Where the trajectory files are, if not where the file says.

    Raises
    ------
    TrajlabError
        If the file cannot be read, or none of these runs is finished.
    """
    study = read(file)
    if folder is not None:
        study = replace(study, runs=folder)
    found = {
        run.path: trajectory
        for stage in study.stages
        if not stages or stage.name in stages
        for run in runs(study, stage) or ()
        if (trajectory := run.trajectory()) is not None
    }
    if not found:
        raise TrajlabError(
            f"no run of {', '.join(stages) or file} is finished in {study.runs}; "
            f"train them with `trajlab study run {file}`"
        )
    return Runs(list(found.values()))
