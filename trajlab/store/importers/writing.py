"""Imported runs, written as trajectory files."""

import os
import re
import tempfile
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store import parts
from trajlab.store.importers.places import Place, Placed
from trajlab.store.importers.tables import lower_in, placed_in, tables_of
from trajlab.store.trajectory import Trajectory
from trajlab.store.writer import Writer


@dataclass(frozen=True)
class ImportedRun:
    """What is written as one file.

    Attributes
    ----------
    metadata : mapping
        What tells runs apart.
    placed : mapping of Place to Placed
        The numbers.
    lower_is_better : collection of str
        Metrics for which lower is better.
    """

    metadata: Mapping[str, Any]
    placed: Mapping[Place, Placed]
    lower_is_better: Collection[str] = ()

    @property
    def tasks(self) -> list[str]:
        """The tasks in the order in which they are placed."""
        named = (task for where in self.placed for task in (where.task, where.other) if task)
        return list(dict.fromkeys(named))


def file_name(metadata: Mapping[str, Any], taken: Collection[str]) -> str:
    """Return a new name such as ``STL-seed0.h5``.

    Parameters
    ----------
    metadata
        What tells the run apart.
    taken
        Names that are in use.
    """
    words = [v if isinstance(v, str) else f"{name}{v}" for name, v in metadata.items()]
    stem = re.sub(r"[^\w.+-]", "_", "-".join(words))
    name, n = f"{stem}.h5", 1
    while name in taken:
        name, n = f"{stem}-{n + 1}.h5", n + 1
    return name


def write_runs(
    source: str,
    out: Path,
    runs: Mapping[str, ImportedRun],
    lower_is_better: Collection[str],
    force: bool,
) -> list[Path]:
    """Write every run in a folder of its own first, so that a failure leaves nothing behind.

    Parameters
    ----------
    source
        Where the numbers come from, kept with them.
    out
        Folder for the trajectory files; made if need be.
    runs
        File name to run.
    lower_is_better
        Metrics for which lower is better.
    force
        Replace files that exist. Without it they are added to, if they hold the same run.

    Returns
    -------
    list of pathlib.Path
        The files, in the order of `runs`.

    Raises
    ------
    TrajlabError
        If a file exists that cannot be added to and `force` is not set, a metric of
        `lower_is_better` is not among the numbers, or the folder cannot be written.
    """
    metrics = {where.column for run in runs.values() for where in run.placed}
    for name in lower_is_better:
        if name not in metrics:
            raise TrajlabError(f"{name!r} is lower_is_better but no metric; map a series to it too")
    whole = {
        name: _joined(out / name, replace(run, lower_is_better=lower_is_better), force)
        for name, run in runs.items()
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".import-") as staging:
            for name, run in whole.items():
                _write(Path(staging) / name, source, run)
            for name in runs:
                os.replace(Path(staging) / name, out / name)
        parts.sync_folder(out)
    except OSError as error:
        raise TrajlabError(
            f"{out} cannot be written ({error.strerror}); give a folder that can"
        ) from error
    return [out / name for name in runs]


def _joined(path: Path, run: ImportedRun, force: bool) -> ImportedRun:
    """Return a run with what its file holds already."""
    if parts.numbers(path):
        raise TrajlabError(f"{path} is a run in progress; import to another folder")
    if force or not parts.exists(path):
        return run
    old, why = Trajectory(path), ""
    before = placed_in(old) if "imported_from" in old.provenance else {}
    both = {where[:2] for where in before} & {where[:2] for where in run.placed}
    others = [task for task in run.tasks if task not in old.tasks]
    if not before:
        why = "it was recorded, not imported"
    elif old.metadata != dict(run.metadata):
        why = f"its metadata are {_said(old.metadata)}, not {_said(run.metadata)}"
    elif others:
        why = f"it is of {', '.join(old.tasks)}, not {others[0]}"
    elif both:
        why = f"it has {' '.join(filter(None, sorted(both)[0]))}"
    if why:
        raise TrajlabError(
            f"{path} exists; use force to replace it, or import to another folder ({why})"
        )
    warnings.warn(f"{path} exists and is added to, as it is the same run", stacklevel=4)
    lower = {*run.lower_is_better, *lower_in(old)}
    return ImportedRun(run.metadata, before | dict(run.placed), lower)


def _said(metadata: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in metadata.items()) or "none"


def _write(path: Path, source: str, run: ImportedRun) -> None:
    writer = Writer(path, run.tasks, metadata=run.metadata, provenance={"imported_from": source})
    for table, rows in tables_of(run.placed, run.tasks, run.lower_is_better):
        writer.declare(table)
        for row in rows:
            writer.append(table.name, row)
    writer.close()
