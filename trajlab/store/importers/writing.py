"""Imported runs, written as trajectory files."""

import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from trajlab.errors import TrajlabError, warn
from trajlab.store import parts
from trajlab.store.importers.imported import ImportedRun
from trajlab.store.importers.joining import joined
from trajlab.store.importers.tables import tables_of
from trajlab.store.writer import Writer


def write_runs(
    source: str,
    out: Path,
    runs: Mapping[str, ImportedRun],
    lower_is_better: Collection[str],
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
    lower_is_better, force
        As in :func:`trajlab.store.importers.series.import_series`.

    Returns
    -------
    list of pathlib.Path
        The files, in the order of `runs`.

    Raises
    ------
    TrajlabError
        If a file exists that cannot be added to and `force` is not set, a metric of
        `lower_is_better` is not among the numbers, or the folder cannot be written.
    """
    metrics = {where.column for run in runs.values() for where in run.placed}
    for name in lower_is_better:
        if name not in metrics:
            raise TrajlabError(f"{name!r} is lower_is_better but no metric; map a series to it too")
    given = {name: replace(run, lower_is_better=lower_is_better) for name, run in runs.items()}
    whole = {name: joined(out / name, run, force) for name, run in given.items()}
    if added := [out / name for name, run in given.items() if whole[name] is not run]:
        told = f"{added[0]} exists and is added to, as it is the same run"
        if len(added) > 1:
            told = (
                f"{len(added)} files exist and are added to, as they are the same runs; "
                f"the first is {added[0]}"
            )
        warn(told)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".import-") as staging:
            for name, run in whole.items():
                _write(Path(staging) / name, source, run)
            for name in runs:
                os.replace(Path(staging) / name, out / name)
        parts.sync_folder(out)
    except OSError as error:
        raise TrajlabError(
            f"{out} cannot be written ({error.strerror}); give a folder that can"
        ) from error
    return [out / name for name in runs]


def _write(path: Path, source: str, run: ImportedRun) -> None:
    writer = Writer(path, run.tasks, metadata=run.metadata, provenance={"imported_from": source})
    for table, rows in tables_of(run.placed, run.tasks, run.lower_is_better):
        writer.declare(table)
        for row in rows:
            writer.append(table.name, row)
    writer.close()
