"""Whether the files of a run are what ``docs/format.md`` says."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from trajlab.errors import TrajlabError
from trajlab.store import parts
from trajlab.store.header import STATUSES
from trajlab.store.image import read_header, table_names
from trajlab.store.seal import verify
from trajlab.store.snapshot import Source, take
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


def _validated(source: Source) -> list[str]:
    problems = []
    if source.on_disk:
        with open(source.path, "rb") as content:
            verify(content, str(source.path))
    with source.open() as file:
        problems += validate(file, str(source.path))
    return problems
