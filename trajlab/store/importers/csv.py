"""Import trajectories from a tidy CSV table: one row a checkpoint (and task)."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from trajlab.errors import TrajlabError
from trajlab.store.importers.cells import Cells, labels
from trajlab.store.importers.writing import QUANTITIES, ImportedRun, file_name, write_runs
from trajlab.store.schema import SPLITS


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

    runs: dict[str, ImportedRun] = {}
    keys = list(zip(*told.values(), strict=True)) or [()] * len(rows)
    for _, own in rows.groupby(pd.Series(keys), sort=False):
        twice = own.index[own.duplicated(["step", "task"])]
        if len(twice):
            raise TrajlabError(
                f"{file} has a second row for one run, step and task in line "
                f"{cells.line(twice[0])}; name further metadata columns, or remove it"
            )
        apart = {name: values[own.index[0]] for name, values in told.items()}
        tables = {
            table: own[["step", "task"]].assign(
                **{column: own[f"{table}/{column}"] for t, column in columns if t == table}
            )
            for table, _ in columns
        }
        runs[file_name(apart, Path(file).stem, taken=runs)] = (shared | apart, tables)
    return write_runs(Path(file).name, Path(out), runs, lower_is_better, force)


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
