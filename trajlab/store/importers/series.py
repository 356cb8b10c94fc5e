"""Runs that a logger kept as named series of numbers."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from trajlab.errors import TrajlabError
from trajlab.store.importers.cells import labels
from trajlab.store.importers.writing import QUANTITIES, ImportedRun, file_name, write_runs
from trajlab.store.schema import SPLITS

_SHOWN = 40  # names in an error


@dataclass(frozen=True)
class LoggedRun:
    """One run as a logger kept it.

    Attributes
    ----------
    name : str
        The run's name, or its folder relative to what was given.
    metadata : mapping
        Its hyperparameters.
    series : mapping of str to dict
        Value by step of each logged quantity.
    """

    name: str
    metadata: Mapping[str, Any]
    series: Mapping[str, Mapping[int, float]]


def import_series(
    source: str | Path,
    read: Callable[[Path], Iterable[LoggedRun]],
    out: str | Path,
    *,
    map: Mapping[str, str] | None = None,
    name: str | None = None,
    meta: Mapping[str, str] | None = None,
    const: Mapping[str, str] | None = None,
    lower_is_better: Sequence[str] = (),
    force: bool = False,
) -> list[Path]:
    """Write one trajectory file for each run that a logger kept.

    Parameters
    ----------
    source
        The file or folder.
    read
        Returns the runs in it.
    out
        Folder for the trajectory files; made if need be.
    map
        Which series is what: ``SPLIT/TASK/METRIC=SERIES``, such as
        ``train/left/loss=loss_left/train``, or ``QUANTITY/TASK=SERIES`` with sharpness,
        gradient_covariance, fisher or similarity. Series whose names have this form already need
        no mapping.
    name
        How runs are named, such as ``{method}-seed{seed}``; what stands in braces becomes metadata.
    meta
        Metadata name to hyperparameter, if not all hyperparameters are to be kept.
    const
        Metadata that all runs share.
    lower_is_better
        Metrics for which lower is better.
    force
        Replace files that exist.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    TrajlabError
        If nothing is found or mapped, a mapped series is missing (the sentence lists those there
        are), or a file exists and `force` is not set.
    """
    source = Path(source)
    if not source.exists():
        raise TrajlabError(f"{source} does not exist")
    logged = list(read(source))
    if not logged:
        raise TrajlabError(f"{source} holds no run of this format")
    found = list(dict.fromkeys(series for run in logged for series in run.series))
    places = {_place(key): series for key, series in (map or {}).items()}
    for series in found:
        if _is_place(series) and series not in places.values():
            places.setdefault(_place(series), series)
    missing = [series for series in places.values() if series not in found]
    if missing or not places:
        what = f"no series {missing[0]!r}" if missing else "no series that --map names"
        raise TrajlabError(f"{source} has {what}; {_wizard(found)}")
    told = labels_of([_told(run, name, meta) for run in logged])
    fixed = labels_of([{key: str(value) for key, value in (const or {}).items()}])[0]
    runs: dict[str, ImportedRun] = {}
    for run, own in zip(logged, told, strict=True):
        tables = _tables(run, places)
        if tables:
            stem = re.sub(r"\W+", "-", run.name).strip("-") or source.stem
            runs[file_name({"": stem}, source.stem, taken=runs)] = (fixed | own, tables)
    return write_runs(source.name, Path(out), runs, lower_is_better, force)


def labels_of(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return texts as numbers where those of all rows are, as `labels` does."""
    names = dict.fromkeys(name for row in rows for name in row)
    parsed = {n: iter(labels([row[n] for row in rows if n in row])) for n in names}
    return [{name: next(parsed[name]) for name in row} for row in rows]


def _is_place(text: str) -> bool:
    first, *rest = text.split("/")
    return (first in SPLITS and len(rest) == 2) or (first in QUANTITIES and len(rest) == 1)


def _place(key: str) -> tuple[str, str, str]:
    """Return the task, the table and the column that a key of --map names."""
    if not _is_place(key):
        raise TrajlabError(
            f"{key!r} is nothing to map to; write SPLIT/TASK/METRIC with {', '.join(SPLITS)}, or "
            f"QUANTITY/TASK with {', '.join(QUANTITIES)}"
        )
    first, task, *metric = key.split("/")
    return (task, f"evaluations/{first}", metric[0]) if metric else (task, *QUANTITIES[first])


def _wizard(found: Sequence[str]) -> str:
    """Say what was found, and how one of it might be mapped."""
    shown = ", ".join(map(repr, found[:_SHOWN])) + (", …" if len(found) > _SHOWN else "")
    likely = next((s for s in found if "loss" in s.lower()), found[0] if found else "SERIES")
    split = next((s for s in SPLITS if s[:3] in likely.lower()), "train")
    return f"found {shown}; name each one, for example --map {split}/TASK/loss={likely!r}"


def _told(run: LoggedRun, pattern: str | None, meta: Mapping[str, str] | None) -> dict[str, str]:
    """Return the metadata of a run: from its name, and of its hyperparameters."""
    told = {}
    if pattern is not None:
        fields = re.split(r"{(\w+)}", pattern)
        regex = "".join(
            f"(?P<{part}>.+?)" if i % 2 else re.escape(part) for i, part in enumerate(fields)
        )
        match = re.fullmatch(regex, run.name)
        if match is None:
            raise TrajlabError(f"the run {run.name!r} is not named like {pattern!r}")
        told = match.groupdict()
    for name, key in (meta or {k: k for k in run.metadata if k not in told}).items():
        if key not in run.metadata:
            raise TrajlabError(
                f"the run {run.name!r} has no hyperparameter {key!r}; it has "
                f"{', '.join(run.metadata) or 'none'}"
            )
        told[name] = str(run.metadata[key])
    return told


def _tables(run: LoggedRun, places: Mapping[tuple[str, str, str], str]) -> dict[str, pd.DataFrame]:
    """Arrange the mapped series of a run by table; the rest are left out."""
    cells: dict[str, dict[tuple[int, str], dict[str, float]]] = {}
    for (task, table, column), series in places.items():
        for step, value in run.series.get(series, {}).items():
            cells.setdefault(table, {}).setdefault((step, task), {})[column] = value
    return {
        table: pd.DataFrame(
            [{"step": step, "task": task, **values} for (step, task), values in rows.items()]
        )
        for table, rows in cells.items()
    }
