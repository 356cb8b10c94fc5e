"""Runs that several tests write, sealed or left as a killed writer leaves them."""

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trajlab.store import Table, Writer

Row = Mapping[str, Any]


def finish(writer: Writer, *, close: bool) -> Path:
    """Seal the run; or only let its lock go, as the system does for a killed process."""
    if close:
        writer.close()
    else:
        writer._lock.release()
    return writer.path


def write(
    path: Path,
    tasks: Sequence[str],
    tables: Iterable[Table],
    flushes: Iterable[Mapping[str, Row]],
    *,
    close: bool = True,
    **facts: Any,
) -> Path:
    """Write a run: of each flush one row a table, by the table's name."""
    writer = Writer(path, tasks, **facts)
    for table in tables:
        writer.declare(table)
    for rows in flushes:
        for name, row in rows.items():
            writer.append(name, row)
        writer.flush()
    return finish(writer, close=close)


def run_python(code: str) -> None:
    """Run code in a process of its own, which has to end well."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
