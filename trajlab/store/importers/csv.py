"""Import trajectories from a tidy CSV table: one row a checkpoint (and task)."""

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
from trajlab.store.importers.cells import Cells, labels
from trajlab.store.schema import SPLITS, standard
from trajlab.store.table import Column, Table
from trajlab.store.writer import Writer

# quantity -> table and column that hold it
QUANTITIES = {
    "sharpness": ("sharpness", "value"),
    "gradient_covariance": ("noise", "covariance_trace"),
    "fisher": ("fisher", "trace"),
    "similarity": ("similarity", "cosine_to_update"),
}

_Places = list[tuple[str, str]]  # (table, column), which together name a column of the rows


def import_csv(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    meta: Mapping[str, str],
    step: str,
    const: Mapping[str, str] | None = None,
    task: str | None = None,
    train_loss: str | None = None,
    metric: Mapping[str, str] | None = None,
    lower_is_better: Sequence[str] = (),
    split: str = "test",
    quantity: Mapping[str, str] | None = None,
    force: bool = False,
) -> list[Path]:
    """Write one trajectory file for each combination of metadata in a CSV file.

    Everything is read and checked before the first file appears in `out`, and each file appears
    whole.

    Parameters
    ----------
    file
        The CSV file, with a header line.
    out
        Folder for the trajectory files; made if need be.
    meta
        Columns that tell runs apart: metadata name to column.
    step
        Column of the optimizer step or epoch, whole numbers.
    const
        Metadata that all rows share. ``task`` names the one task when no column does, and is
        not kept as metadata.
    task
        Column of the task's name.
    train_loss
        Column of the loss over the training set.
    metric
        Evaluations on `split`: metric name to column.
    lower_is_better
        Metrics for which lower is better.
    split
        ``train``, ``validation`` or ``test``.
    quantity
        ``sharpness``, ``gradient_covariance``, ``fisher`` or ``similarity`` to column.
    force
        Replace files that exist.

    Returns
    -------
    list of pathlib.Path
        The files written, in the order of their first rows.

    Raises
    ------
    TrajlabError
        If a column is unknown, a cell is missing or no number (the sentence names its line and
        column), two rows describe the same point, or a file exists and `force` is not set.
    """
    const, metric, quantity = dict(const or {}), dict(metric or {}), dict(quantity or {})
    one_task = const.pop("task", None)
    if (task is None) == (one_task is None):
        raise TrajlabError(
            f"{file}: name the column of the task, or the one task with const task=NAME, not both"
        )
    _check_terms(split, metric, lower_is_better, quantity)
    columns = {("evaluations/train", "loss"): train_loss} if train_loss else {}
    columns |= {(f"evaluations/{split}", name): column for name, column in metric.items()}
    columns |= {QUANTITIES[name]: column for name, column in quantity.items()}

    cells = Cells(Path(file))
    rows = pd.DataFrame({"step": cells.steps(step)})
    rows["task"] = one_task if task is None else cells.texts(task)
    for place, column in columns.items():
        rows["/".join(place)] = cells.numbers(column)
    told = {name: labels(cells.texts(column)) for name, column in meta.items()}
    shared = {name: labels([str(value)])[0] for name, value in const.items()}

    runs: dict[str, tuple[dict[str, Any], pd.DataFrame]] = {}
    keys = list(zip(*told.values(), strict=True)) or [()] * len(rows)
    for _, own in rows.groupby(pd.Series(keys), sort=False):
        twice = own.index[own.duplicated(["step", "task"])]
        if len(twice):
            raise TrajlabError(
                f"{file} has a second row for one run, step and task in line "
                f"{cells.line(twice[0])}; name further metadata columns, or remove it"
            )
        apart = {name: values[own.index[0]] for name, values in told.items()}
        runs[_file_name(apart, Path(file).stem, taken=runs)] = (shared | apart, own)
    return _write_all(Path(file), Path(out), runs, list(columns), lower_is_better, force)


def _check_terms(
    split: str, metrics: Iterable[str], lower: Iterable[str], quantities: Iterable[str]
) -> None:
    if split not in SPLITS:
        raise TrajlabError(f"split {split!r} is unknown; use {', '.join(SPLITS)}")
    for name in quantities:
        if name not in QUANTITIES:
            raise TrajlabError(f"quantity {name!r} is unknown; use {', '.join(QUANTITIES)}")
    for name in lower:
        if name not in metrics:
            raise TrajlabError(f"{name!r} is lower_is_better but no metric; name its column too")


def _file_name(metadata: Mapping[str, Any], default: str, taken: Iterable[str]) -> str:
    """Return a new name such as ``STL-seed0.h5``."""
    words = [v if isinstance(v, str) else f"{name}{v}" for name, v in metadata.items()]
    stem = re.sub(r"[^\w.+-]", "_", "-".join(words) or default)
    name, n = f"{stem}.h5", 1
    while name in taken:
        name, n = f"{stem}-{n + 1}.h5", n + 1
    return name


def _write_all(
    file: Path,
    out: Path,
    runs: Mapping[str, tuple[Mapping[str, Any], pd.DataFrame]],
    places: _Places,
    lower_is_better: Sequence[str],
    force: bool,
) -> list[Path]:
    """Write every run in a folder of its own first, so that a failure leaves nothing behind."""
    for name in runs:
        if parts.numbers(out / name):
            raise TrajlabError(f"{out / name} is a run in progress; import to another folder")
        if parts.exists(out / name) and not force:
            raise TrajlabError(f"{out / name} exists; use force to replace it")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".import-") as staging:
            for name, (metadata, rows) in runs.items():
                _write(Path(staging) / name, file.name, metadata, rows, places, lower_is_better)
            for name in runs:
                os.replace(Path(staging) / name, out / name)
        parts.sync_folder(out)
    except OSError as error:
        raise TrajlabError(
            f"{out} cannot be written ({error.strerror}); give a folder that can"
        ) from error
    return [out / name for name in runs]


def _write(
    path: Path,
    source: str,
    metadata: Mapping[str, Any],
    rows: pd.DataFrame,
    places: _Places,
    lower_is_better: Sequence[str],
) -> None:
    tasks = rows["task"].unique().tolist()
    writer = Writer(path, tasks, metadata=metadata, provenance={"imported_from": source})
    for name in dict.fromkeys(table for table, _ in places):
        columns = [column for table, column in places if table == name]
        table = _table(name, columns, tasks, lower_is_better)
        writer.declare(replace(table, attributes={"source": source}))
        steps = np.unique(rows["step"])
        grid = pd.MultiIndex.from_product([steps, tasks])
        wide = rows.set_index(["step", "task"]).reindex(grid)
        values = {}
        for column in table.columns:
            shape = (len(steps), *table.shape(column))
            values[column.name] = wide[f"{name}/{column.name}"].to_numpy().reshape(shape)
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
