"""Runs in memory whose tables are declared column by column."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from trajlab.store import Table

TASKS = ("left", "right")


class Held(dict):
    """A table: its columns by name, as they were declared, and its coordinates."""

    def __init__(self, name, step, columns, **coordinates):
        coordinates = {"task": list(TASKS), **coordinates}
        super().__init__(
            {"step": np.array(step)}
            | {axis: np.array(labels, object) for axis, labels in coordinates.items()}
            | {column.name: np.array(values) for column, values in columns}
        )
        self.declared = Table(name, tuple(column for column, _ in columns), coordinates)

    def axes(self, name):
        return self.declared.column(name).axes


def run(*tables, status="complete", name="run", **metadata):
    """Return a run of two tasks with these tables."""
    held = {table.declared.name: table for table in tables}
    return SimpleNamespace(
        tasks=list(TASKS),
        tables=tuple(held),
        table=held.__getitem__,
        metadata=metadata,
        status=status,
        path=Path(f"{name}.h5"),
    )
