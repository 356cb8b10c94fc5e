"""Import trajectories from CSV tables: one column a quantity, or one a task."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store.importers.layout import Layout, read_tables
from trajlab.store.importers.mapping import gather
from trajlab.store.importers.naming import NamePattern
from trajlab.store.importers.places import QUANTITIES
from trajlab.store.importers.sources import StrPath, named_files, said
from trajlab.store.importers.writing import write_runs
from trajlab.store.schema import SPLITS

_TAB = dict.fromkeys(("tab", r"\t"), "\t")


def import_csv(
    file: StrPath | Sequence[StrPath],
    out: StrPath,
    *,
    map: Mapping[str, str] | None = None,
    name: str | None = None,
    meta: Mapping[str, str] | None = None,
    const: Mapping[str, str] | None = None,
    step: str | None = None,
    task: str | None = None,
    train_loss: str | None = None,
    metric: Mapping[str, str] | None = None,
    lower_is_better: Sequence[str] = (),
    split: str = "test",
    quantity: Mapping[str, str] | None = None,
    separator: str = ",",
    decimal: str = ".",
    force: bool = False,
) -> list[Path]:
    """Write one trajectory file for each combination of metadata in CSV files.

    Everything is read and checked before the first file appears in `out`, and each file appears
    whole. A blank cell of a column in `map` is nothing logged; in a column of `train_loss`,
    `metric` or `quantity`, whose rows are each a checkpoint, it is an error. Of several
    files, one that cannot be read is left out with a warning.

    Parameters
    ----------
    file
        The CSV file with a header line; several, a folder (searched to any depth) or a glob.
    out
        Folder for the trajectory files; made if need be.
    map
        Which column is what: ``SPLIT/TASK/METRIC=COLUMN``, such as ``train/left/loss=loss_left``;
        ``QUANTITY/TASK=COLUMN`` with losses (of the batches trained on), sharpness,
        gradient_covariance, fisher or similarity; ``similarity/TASK/OTHER_TASK=COLUMN``, the
        cosine of two tasks' gradients; or epoch, tokens, samples, wall_time, flops. A name in
        braces, as in ``{split}/{task}/{metric}=value``, stands for what that column says.
    name
        How the files are named, without their suffix, such as ``{method}/study_{seed}/{workload}``;
        what stands in braces becomes metadata, what stands in brackets, as ``[task]``, tells the
        files of one run apart. ``[step]`` is the step of all rows of a file.
    meta
        Columns that tell runs apart: metadata name to column.
    const
        Metadata that all rows share. ``task`` names the one task when no column does, and ``step``
        the step; they are not kept as metadata.
    step
        Column of the optimizer step or epoch, whole numbers. Without it each run has one row, which
        stands for its end.
    task
        Column of the task's name, for `train_loss`, `metric` and `quantity`.
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
    separator
        What stands between two cells; ``tab`` for a tabulator.
    decimal
        What stands before the decimals.
    force
        Replace files that exist. Without it they are added to, if they hold the same run.

    Returns
    -------
    list of pathlib.Path
        The files written, in the order of their first rows.

    Raises
    ------
    TrajlabError
        If a column is unknown, a cell is no number (the sentence names its line and column), two
        rows describe the same point, or a file exists that cannot be added to and `force` is not
        set.
    """
    const, metric, quantity = dict(const or {}), dict(metric or {}), dict(quantity or {})
    one_task, one_step = const.pop("task", None), const.pop("step", None)
    _check_terms(split, quantity)
    _check_marks(_TAB.get(separator, separator), decimal)
    who = "{task}" if task is None else f"{{{task}}}"
    keys = {f"train/{who}/loss": train_loss} if train_loss else {}
    keys |= {f"{split}/{who}/{name}": column for name, column in metric.items()}
    keys |= {f"{name}/{who}": column for name, column in quantity.items()}
    pattern = None if name is None else NamePattern(name)
    told = one_task is not None or (pattern is not None and "task" in pattern.names)
    if task is not None if told else task is None and keys:
        raise TrajlabError(
            f"{said(file)}: name the column of the task, or the one task with const task=NAME, "
            f"not both; or map each column to a task"
        )
    full = set(keys.values())
    keys |= map or {}
    layout = Layout(
        keys=keys,
        full=full,
        meta=dict(meta or {}),
        step=step,
        separator=_TAB.get(separator, separator),
        decimal=decimal,
        part={k: v for k, v in (("task", one_task), ("step", one_step)) if v is not None},
    )
    tables = read_tables(named_files(file, pattern), layout, pattern)
    runs = gather(said(file), tables, keys or None, name, {key: key for key in meta or {}}, const)
    return write_runs(said(file), Path(out), runs, lower_is_better, force)


def _check_marks(separator: str, decimal: str) -> None:
    if len(separator) != 1 or separator in '"\r\n':
        raise TrajlabError(f"separator {separator!r} is no single character; tab is called tab")
    if decimal not in (".", ",") or decimal == separator:
        raise TrajlabError(
            f"decimal {decimal!r} is neither . nor , or stands between cells too; give another "
            f"decimal or separator"
        )


def _check_terms(split: str, quantities: Iterable[str]) -> None:
    if split not in SPLITS:
        raise TrajlabError(f"split {split!r} is unknown; use {', '.join(SPLITS)}")
    for name in quantities:
        if name not in QUANTITIES:
            raise TrajlabError(f"quantity {name!r} is unknown; use {', '.join(QUANTITIES)}")
