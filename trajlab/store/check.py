"""Whether the files of a run are what ``docs/format.md`` says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store import legacy, parts, seal
from trajlab.store.hdf5.process import found
from trajlab.store.header import STATUSES
from trajlab.store.rows import described
from trajlab.store.snapshot import Snapshot, take
from trajlab.store.source import Source
from trajlab.store.view import View, view

_TASK_AXES = ("task", "other_task")


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Parameters
    ----------
    problems
        A sentence for each thing that is wrong.
    columns
        One row a column: ``table, column, rows, finite`` (the share of its numbers, NaN for text).
    """

    problems: tuple[str, ...]
    columns: pd.DataFrame


def check(path: Path) -> Checked:
    """Validate all files of a run: checksums, structure, labels, order of steps.

    Parameters
    ----------
    path
        The run's ``.h5`` file; it need not exist while there are parts.

    Raises
    ------
    TrajlabError
        If there is no run at `path`.
    """
    path = parts.located(path)
    if not (path.exists() or parts.folder(path).is_dir()):
        raise TrajlabError(f"{path} does not exist; give the path of a recorded run")
    problems = [
        f"{file} could not be read when the run was merged; trajlab repair tries to save it"
        for file in parts.set_aside(path)
    ]
    rows: list[tuple[str, str, int, float]] = []
    try:
        snapshot = take(path)
    except TrajlabError as error:
        problems.append(str(error))
    else:
        problems += [*snapshot.problems, *_header(snapshot)]
        for source in snapshot.sources:
            problems += _file(source)
        for name in snapshot.tables:
            table = view(snapshot, name)
            try:
                problems += _rows(snapshot, table)
            except TrajlabError as error:
                problems.append(str(error))
            rows += _finite(table, problems)
    columns = pd.DataFrame(rows, columns=["table", "column", "rows", "finite"])
    return Checked(tuple(dict.fromkeys(problems)), columns)


def _header(snapshot: Snapshot) -> Iterator[str]:
    header = snapshot.header
    if header.status not in STATUSES:
        yield f"{snapshot.path} has status {header.status!r}"
    if len(set(header.tasks)) < len(header.tasks):
        yield f"{snapshot.path} names a task twice"


def _file(source: Source) -> list[str]:
    """Compare all checksums of a sealed file, and what HDF5 finds in it with its index."""
    if source.path.suffix == ".log":
        return []
    try:
        if not seal.is_sealed(source.file):
            legacy.verify(source.file, whole=True)
            return _told(source, found(source.path)["problems"])
        seal.verify(source)
        facts = found(source.path)
        rebuilt, _ = legacy.placed(source.file, lenient=False)
    except TrajlabError as error:
        return _told(source, [error])
    problems = list(facts["problems"])
    if rebuilt.header != source.header:
        problems.append("its root attributes differ from its index")
    if set(rebuilt.tables) != set(source.tables):  # HDF5 keeps many groups in an order of its own
        problems.append("HDF5 finds other tables in it than its index")
    for name in rebuilt.tables.keys() & source.tables.keys():
        if _declaration(rebuilt, name) != _declaration(source, name):
            problems.append(f"table {name} is declared in another way than in its index")
        elif _checksums(rebuilt, name) != _checksums(source, name):
            problems.append(f"HDF5 finds other numbers in table {name} than its index")
    return _told(source, problems)


def _told(source: Source, problems: list[str] | list[TrajlabError]) -> list[str]:
    path = str(source.path)
    return [str(p) if path in str(p) else f"{path}: {p}" for p in problems]


def _declaration(source: Source, name: str) -> str:
    return json.dumps(described([source.tables[name]]), sort_keys=True)


def _checksums(source: Source, name: str) -> list[dict[str, tuple[int, int]]]:
    return [
        {column: (extent.size, extent.crc) for column, extent in block.extents.items()}
        for block in source.stored[name]
    ]


def _rows(snapshot: Snapshot, table: View) -> Iterator[str]:
    where = f"{snapshot.path}: table {table.name}"
    for axis, labels in table.declared.coordinates.items():
        if len(set(map(repr, labels))) < len(labels):
            yield f"{where} has a label of {axis} twice"
        if axis in _TASK_AXES and tuple(labels) != snapshot.header.tasks:
            yield f"{where} has {axis} = {list(labels)}, the run {list(snapshot.header.tasks)}"
    steps = table["step"]
    if (steps < 0).any():
        yield f"{where} has negative steps"
    (back,) = np.nonzero(np.diff(steps) < 0)
    if back.size:
        yield f"{where}: its steps go back after row {back[0]}"
    keys = pd.DataFrame({name: table[name] for name in ("step", *table.declared.key)})
    if keys.duplicated().any():
        row = int(keys.duplicated().to_numpy().argmax())
        yield f"{where} has two rows of {', '.join(table.declared.key)} at step {steps[row]}"


def _finite(table: View, problems: list[str]) -> Iterator[tuple[str, str, int, float]]:
    for column in table.declared.columns:
        finite = size = 0
        try:
            for values in table.portions(column.name):
                if values.dtype != object:
                    finite += int(np.isfinite(values).sum())
                    size += values.size
            length = table.length
        except TrajlabError as error:
            problems.append(str(error))
            continue
        yield table.name, column.name, length, finite / size if size else np.nan
