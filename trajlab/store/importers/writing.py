"""Imported runs, written as trajectory files."""

import math
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trajlab.errors import TrajlabError
from trajlab.store import parts
from trajlab.store.schema import standard
from trajlab.store.table import Column, Table
from trajlab.store.writer import Writer

# quantity -> table and column that hold it
QUANTITIES = {
    "sharpness": ("sharpness", "value"),
    "gradient_covariance": ("noise", "covariance_trace"),
    "fisher": ("fisher", "trace"),
    "similarity": ("similarity", "cosine_to_update"),
}

ImportedRun = tuple[Mapping[str, Any], Mapping[str, pd.DataFrame]]
"""Metadata, and rows with ``step``, ``task`` and one column a quantity by table."""


def file_name(metadata: Mapping[str, Any], default: str, taken: Iterable[str]) -> str:
    """Return a new name such as ``STL-seed0.h5``.

    Parameters
    ----------
    metadata
        What tells the run apart.
    default
        Used where nothing does.
    taken
        Names that are in use.
    """
    words = [v if isinstance(v, str) else f"{name}{v}" for name, v in metadata.items()]
    stem = re.sub(r"[^\w.+-]", "_", "-".join(words) or default)
    name, n = f"{stem}.h5", 1
    while name in taken:
        name, n = f"{stem}-{n + 1}.h5", n + 1
    return name


def write_runs(
    source: str,
    out: Path,
    runs: Mapping[str, ImportedRun],
    lower_is_better: Sequence[str],
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
        Replace files that exist.

    Returns
    -------
    list of pathlib.Path
        The files, in the order of `runs`.

    Raises
    ------
    TrajlabError
        If a file exists and `force` is not set, or the folder cannot be written.
    """
    for name in runs:
        if parts.numbers(out / name):
            raise TrajlabError(f"{out / name} is a run in progress; import to another folder")
        if parts.exists(out / name) and not force:
            raise TrajlabError(f"{out / name} exists; use force to replace it")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".import-") as staging:
            for name, run in runs.items():
                _write(Path(staging) / name, source, run, lower_is_better)
            for name in runs:
                os.replace(Path(staging) / name, out / name)
        parts.sync_folder(out)
    except OSError as error:
        raise TrajlabError(
            f"{out} cannot be written ({error.strerror}); give a folder that can"
        ) from error
    return [out / name for name in runs]


def _write(path: Path, source: str, run: ImportedRun, lower_is_better: Sequence[str]) -> None:
    metadata, tables = run
    tasks = list(dict.fromkeys(task for rows in tables.values() for task in rows["task"]))
    writer = Writer(path, tasks, metadata=metadata, provenance={"imported_from": source})
    for name, rows in tables.items():
        columns = [str(column) for column in rows if column not in ("step", "task")]
        table = _table(name, columns, tasks, lower_is_better)
        writer.declare(replace(table, attributes={"source": source}))
        steps = np.unique(rows["step"])
        grid = pd.MultiIndex.from_product([steps, tasks])
        wide = rows.set_index(["step", "task"]).reindex(grid)
        values = {}
        for column in table.columns:
            shape = (len(steps), *table.shape(column))
            values[column.name] = wide[column.name].to_numpy().reshape(shape)
        for i, step in enumerate(steps):
            writer.append(name, {"step": step, **{c: array[i] for c, array in values.items()}})
    writer.close()


def _table(
    name: str, columns: Sequence[str], tasks: Sequence[str], lower_is_better: Sequence[str]
) -> Table:
    """Return the standard table with these columns only; those it has not are metrics."""
    table = standard(name, task=tasks, rho=[math.nan])
    known = {column.name: column for column in table.columns}
    metrics = {
        column: Column(
            column,
            ("step", "task"),
            attributes={"higher_is_better": column not in lower_is_better},
        )
        for column in columns
    }
    return replace(table, columns=tuple((metrics | known)[column] for column in columns))
