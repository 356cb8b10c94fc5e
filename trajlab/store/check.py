"""Whether the files of a run are what ``docs/format.md`` says, and what can be saved if not."""

from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from trajlab.errors import TrajlabError
from trajlab.store import parts
from trajlab.store.header import STATUSES
from trajlab.store.image import Block, build, read, read_header, read_table, table_names
from trajlab.store.seal import verify
from trajlab.store.snapshot import Snapshot, Source, take
from trajlab.store.view import view


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
    """Validate all files of a run: checksums, structure, order of steps.

    Parameters
    ----------
    path
        The run's ``.h5`` file; it need not exist while there are parts.

    Raises
    ------
    TrajlabError
        If there is no run at `path`.
    """
    if not (path.exists() or parts.folder(path).is_dir()):
        raise TrajlabError(f"{path} does not exist; give the path of a recorded run")
    problems = [
        f"{file} could not be read when the run was merged; trajlab repair tries to save it"
        for file in parts.set_aside(path)
    ]
    rows = []
    try:
        snapshot = take(path)
        problems += snapshot.problems
        for source in snapshot.sources:
            problems += _validated(source)
        for name in snapshot.tables:
            table = view(snapshot, name)
            steps = table["step"]
            (back,) = np.nonzero(np.diff(steps) < 0)
            if back.size:
                problems.append(f"{path}: the steps of table {name} go back after row {back[0]}")
            for column in table.declared.columns:
                values = table[column.name]
                counts = values.size and values.dtype != object
                finite = np.isfinite(values).mean() if counts else np.nan
                rows.append((name, column.name, len(steps), float(finite)))
    except TrajlabError as error:
        problems.append(str(error))
    columns = pd.DataFrame(rows, columns=["table", "column", "rows", "finite"])
    return Checked(tuple(dict.fromkeys(problems)), columns)


def validate(file: h5py.File, source: str) -> list[str]:
    """Say in what an open file differs from the format.

    Parameters
    ----------
    file
        Open for reading.
    source
        What to call it.

    Returns
    -------
    list of str
        A sentence for each difference.
    """
    header = read_header(file, source)
    problems = []
    if header.status not in STATUSES:
        problems.append(f"{source} has status {header.status!r}")
    for name in table_names(file):
        group = file[name]
        where = f"{source}, table {name}"
        length = len(group["step"])
        if group["step"].dtype != np.int64 or not group["step"].is_scale:
            problems.append(f"{where}: step is not a scale of 64-bit integers")
        problems += [
            f"{where} lacks its attribute {key}"
            for key in ("key", "kind")
            if key not in group.attrs
        ]
        for label, item in group.items():
            if not isinstance(item, h5py.Dataset):
                problems.append(f"{where} holds a group {label}")
                continue
            if item.chunks is not None:
                problems.append(f"{where}: {label} is chunked")
            if "crc32" not in item.attrs:
                problems.append(f"{where}: {label} lacks its checksum")
            if item.is_scale:
                continue
            axes = [[scale.name.rpartition("/") for scale in d.values()] for d in item.dims]
            if any(len(a) != 1 or a[0][0] != group.name for a in axes) or axes[0][0][2] != "step":
                problems.append(f"{where}: the axes of {label} are not scales of the table")
            elif len(item) != length:
                problems.append(f"{where}: {label} has {len(item)} rows, not {length}")
            problems += [
                f"{where}: {label} lacks its attribute {fact}"
                for fact in ("units", "description")
                if fact not in item.attrs
            ]
    return problems


def repair(path: Path, out: Path) -> tuple[str, ...]:
    """Save what is valid of a damaged run into a new file.

    Parameters
    ----------
    path
        The run; it is left as it is.
    out
        The file to make, ending in ``.h5``.

    Returns
    -------
    tuple of str
        A sentence for each thing that was lost.

    Raises
    ------
    TrajlabError
        If `out` exists, or nothing can be saved.
    """
    if parts.exists(out) or out.suffix != ".h5":
        raise TrajlabError(f"{out} exists or does not end in .h5; name a new file")
    lost: list[str] = []
    files = [parts.part(path, number) for number in parts.numbers(path)]
    files += parts.set_aside(path)
    saved = [_saved(file, lost) for file in [path, *files] if file.exists()]
    # in the order of writing; a part set aside comes before the file that lacks it
    sources = sorted(
        (source for source in saved if source is not None),
        key=lambda source: (len(source.header.sessions), source.header.last_part),
    )
    if not sources:
        raise TrajlabError(f"{path}: nothing can be saved; {' '.join(lost) or 'it is not there'}")
    lost += _gaps(path, sources)
    snapshot = Snapshot(path, tuple(sources), (), ())
    header = replace(snapshot.header, status="recovered")
    blocks = (_in_order(view(snapshot, name).block()) for name in snapshot.tables)
    try:
        parts.publish(build(header, blocks), out)
    except OSError as error:
        raise TrajlabError(f"{out} cannot be written ({error.strerror})") from error
    return tuple(lost)


def _validated(source: Source) -> list[str]:
    problems = []
    if source.on_disk:
        with open(source.path, "rb") as content:
            verify(content, str(source.path))
    with source.open() as file:
        problems += validate(file, str(source.path))
    return problems


def _saved(path: Path, lost: list[str]) -> Source | None:
    """Return what is valid in one file as a file in memory."""
    source = str(path)
    try:
        content = path.read_bytes()
        with Source.opened(content, source) as file:
            header = read_header(file, source)
            blocks = []
            for name in table_names(file):
                block = _saved_table(file, name, source, lost)
                if block is not None:
                    blocks.append(block)
        return Source(path, build(header, blocks))
    except (TrajlabError, KeyError, ValueError) as error:
        lost.append(f"{source} is lost ({error})")
        return None


def _saved_table(file: h5py.File, name: str, source: str, lost: list[str]) -> Block | None:
    """Return the valid columns of one table, or None if its steps are not."""
    try:
        table = read_table(file, name, source)
        length = len(file[name]["step"])
        pieces = {key: [read(file[name], key, source)] for key in {"step", *table.key}}
    except (TrajlabError, OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        lost.append(f"table {name} of {source} is lost ({error})")
        return None
    for column in table.columns:
        try:
            pieces[column.name] = [read(file[name], column.name, source)]
        except (TrajlabError, OSError, KeyError, RuntimeError, TypeError, ValueError):
            lost.append(f"column {column.name} of table {name} in {source} is lost")
    return Block(table.only(*(c.name for c in table.columns if c.name in pieces)), length, pieces)


def _in_order(block: Block) -> Block:
    rows = {name: np.concatenate(list(arrays)) for name, arrays in block.pieces.items()}
    order = np.argsort(rows["step"], kind="stable")
    return Block(block.table, block.length, {name: [a[order]] for name, a in rows.items()})


def _gaps(path: Path, sources: list[Source]) -> list[str]:
    """Say which parts are missing between those that were saved."""
    sealed = max((s.header.last_part for s in sources if s.path == path), default=0)
    numbers = sorted(s.header.last_part for s in sources if s.header.last_part > sealed)
    return [
        f"parts {before + 1} to {number - 1} of {path} are lost"
        for before, number in zip([sealed, *numbers], numbers, strict=False)
        if number > before + 1
    ]
