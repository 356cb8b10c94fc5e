"""Read the data bases that trackio keeps, one a project."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.logged import Found, LoggedRun, read_each
from trajlab.store.importers.rows import Rows, numbers
from trajlab.store.importers.texts import read_bytes

_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def read_trackio(path: Path) -> Iterator[Found]:
    """Return the runs of a data base, or of all below a folder such as TRACKIO_DIR.

    A file that is no data base of trackio is `Unreadable`.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*.db"))
    return read_each(files, partial(_read, len(files) > 1))


def _read(several: bool, file: Path) -> Iterator[LoggedRun]:
    read_bytes(file)
    try:
        # nothing is written: what a run in progress keeps beside its data base is only read
        how = "mode=ro" if file.with_name(f"{file.name}-wal").exists() else "immutable=1"
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?{how}", uri=True)) as base:
            columns = {row[1] for row in base.execute("PRAGMA table_info(metrics)")}
            # names could not be shared once
            identity = "run_id" if "run_id" in columns else "run_name"
            configs = dict(base.execute(f"SELECT {identity}, config FROM configs"))
            logged = base.execute(
                f"SELECT {identity}, run_name, step, timestamp, metrics FROM metrics ORDER BY id"
            )
            runs: dict[str, tuple[str, Rows]] = {}
            for run, name, step, stamp, text in logged:
                _, rows = runs.setdefault(run, (name, Rows()))
                time = datetime.fromisoformat(stamp).timestamp()
                for key, value in json.loads(text).items():
                    for series, number in numbers(key, _NOT_FINITE.get(str(value), value)):
                        rows.add(series, step, number, time)
    except (sqlite3.Error, ValueError, TypeError, AttributeError) as error:
        raise TrajlabError(f"{file} is no data base of trackio: {error}") from error
    for run, (name, rows) in runs.items():
        called = f"{file.stem}/{name}" if several else name
        yield rows.run(called, _scalars(json.loads(configs.get(run, "{}"))))


def _scalars(config: dict[str, Any]) -> dict[str, Any]:
    """Return the scalars of a configuration without what trackio adds."""
    return {
        key: value
        for key, value in config.items()
        if isinstance(value, str | int | float) and not key.startswith("_")
    }
