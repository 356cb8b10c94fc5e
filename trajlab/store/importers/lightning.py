"""Read what Lightning's CSVLogger keeps."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.cells import Cells
from trajlab.store.importers.logged import Found, LoggedRun, Series, called, read_each
from trajlab.store.importers.rows import Rows
from trajlab.store.importers.texts import read_text

HYPERPARAMETERS = "hparams.yaml"


def read_lightning(path: Path) -> Iterator[Found]:
    """Return a run for each ``metrics.csv`` below, with the scalars of ``hparams.yaml`` beside it.

    A file that cannot be read, or has no column ``step``, is `Unreadable`.
    """
    files = [path] if path.is_file() else sorted(path.rglob("metrics.csv"))
    return read_each(files, partial(_read, path))


def _read(path: Path, file: Path) -> Iterator[LoggedRun]:
    cells, rows = Cells(file), Rows()
    if "step" not in cells.header:
        raise TrajlabError(f"{file} has no column 'step', so it is not CSVLogger's")
    steps = cells.maybe_steps("step")
    for name in cells.header:
        if name != "step":
            for step, value in zip(steps, cells.numbers(name), strict=True):
                if value is not None:
                    rows.add(name, step, value)
    folder = file.parent
    run = rows.run(called(path, folder), hyperparameters(folder / HYPERPARAMETERS), cells.notes)
    yield replace(run, series=updates_completed(run.series))


def updates_completed(series: Mapping[str, Series]) -> dict[str, dict[int, float]]:
    """Return Lightning's series by updates completed instead of by batch.

    While it fits, Lightning counts from 0 the batch that an update or an evaluation came after:
    one less than the updates completed. Before and after, as in ``trainer.test``, the two are
    equal. The log does not say which it was, so it is inferred: a series that begins at step 0 and
    has nothing at step 1 was evaluated before the first batch; one that ends a step after the
    last epoch, alone in an epoch of its own, after the last batch; and series named ``test…`` are
    never logged while it fits.

    Parameters
    ----------
    series
        Values by Lightning's step, ``epoch`` among them.
    """
    ends: dict[float, list[int]] = {}
    for step, epoch in sorted(series.get("epoch", {}).items()):
        ends.setdefault(epoch, [step, step])[1] = step
    ordered = [ends[epoch] for epoch in sorted(ends)]
    after = None
    if len(ordered) > 1:
        before = ordered[-3][1] if len(ordered) > 2 else -1
        (_, last), (begin, end) = ordered[-2:]
        if begin == end == last + 1 and last - before > 1:
            after = end
    made: dict[str, dict[int, float]] = {}
    for name, values in series.items():
        outside = {after} if after is not None else set()
        if 0 in values and len(values) > 1 and 1 not in values:
            outside.add(0)
        made[name] = {
            step + (step not in outside and not name.startswith("test")): value
            for step, value in values.items()
        }
    return made


def hyperparameters(file: Path) -> dict[str, Any]:
    """Return the scalars on the first level of a YAML file, or nothing where there is none.

    Raises
    ------
    TrajlabError
        If it is no YAML of names and values.
    """
    if not file.exists() or not file.read_bytes().strip():
        return {}
    try:
        import yaml
    except ImportError as error:
        raise TrajlabError("pyyaml is not installed; run pip install pyyaml") from error
    try:
        values = yaml.load(read_text(file), Loader=yaml.BaseLoader) or {}
    except yaml.YAMLError as error:
        raise TrajlabError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise TrajlabError(f"{file} holds no names and values")
    return {key: value for key, value in values.items() if isinstance(value, str)}
