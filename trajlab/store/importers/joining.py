"""Imported numbers that are added to what a file holds already."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store import parts
from trajlab.store.importers.imported import ImportedRun
from trajlab.store.importers.logged import Series
from trajlab.store.importers.places import Place, Placed
from trajlab.store.importers.tables import lower_in, placed_in
from trajlab.store.trajectory import Trajectory


def joined(path: Path, run: ImportedRun, force: bool) -> ImportedRun:
    """Return a run with what its file holds already; the run itself where that is nothing.

    Parameters
    ----------
    path
        Where the run is to be written.
    run
        What is imported.
    force
        Replace the file.

    Raises
    ------
    TrajlabError
        If the file is a run in progress, or without `force` another run or one that has the
        numbers already.
    """
    if parts.numbers(path):
        raise TrajlabError(f"{path} is a run in progress; import to another folder")
    if force or not parts.exists(path):
        return run
    old, why = Trajectory(path), ""
    before = placed_in(old) if "imported_from" in old.provenance else {}
    others = [task for task in run.tasks if task not in old.tasks]
    if not before:
        why = "it was recorded, not imported"
    elif old.metadata != dict(run.metadata):
        why = f"its metadata are {_said(old.metadata)}, not {_said(run.metadata)}"
    elif others:
        why = f"it is of {', '.join(old.tasks)}, not {others[0]}"
    elif both := _in_both(before, run.placed):
        why = f"it has {' '.join(filter(None, both))}"
    if why:
        raise TrajlabError(
            f"{path} exists; use force to replace it, or import to another folder ({why})"
        )
    placed = before | dict(run.placed)
    for where in before.keys() & run.placed.keys():  # clocks, which agree
        series = placed[where].series
        placed[where] = Placed(series, {**before[where].values, **run.placed[where].values})
    return ImportedRun(run.metadata, placed, {*run.lower_is_better, *lower_in(old)})


def _in_both(before: Mapping[Place, Placed], new: Mapping[Place, Placed]) -> tuple[str, str] | None:
    """Return the first table and column in both, or the first clock that they contradict in."""
    tables = {where[:2] for where in before if where.table} & {where[:2] for where in new}
    clocks = {
        where[:2]
        for where in before.keys() & new.keys()
        if not where.table and not _agree(before[where].values, new[where].values)
    }
    return min(tables | clocks, default=None)


def _agree(one: Series, other: Series) -> bool:
    return all(one[step] == other[step] for step in one.keys() & other.keys())


def _said(metadata: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in metadata.items()) or "none"
