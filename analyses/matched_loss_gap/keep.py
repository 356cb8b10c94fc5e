"""Copy what `evaluate.py` reads of finished runs, so that their verdicts outlive the machine.

A run of 99 epochs takes some 5 MB, most of it the losses of every step; its evaluations, with a bit
for each test image, take .2 to .35. ``python keep.py RUNS FOLDER`` copies runs that FOLDER lacks.
"""

import sys
from pathlib import Path

import numpy as np

from trajlab.store import Trajectory, Writer, load


def keep(run: Trajectory, path: Path) -> None:
    """Write a run's evaluations, its cost and the losses at the end of each epoch to a new file."""
    writer = Writer(path, run.tasks, run.shared, run.metadata, run.provenance)
    for name in run.tables:
        if not name.startswith("evaluations/") and name not in ("compute", "losses"):
            continue
        table = run.table(name)
        rows = np.arange(len(table["step"]))
        if name == "losses":
            rows = np.flatnonzero(np.diff(table["epoch"], append=np.inf))
        writer.declare(table.declared)
        columns = {c.name: table[c.name] for c in table.declared.columns} | {"step": table["step"]}
        for row in rows:
            writer.append(name, {column: values[row] for column, values in columns.items()})
    writer.close()


if __name__ == "__main__":
    trained, folder = map(Path, sys.argv[1:])
    for run in load(trained):
        path = folder / run.path.name
        if run.status == "complete" and not path.exists():
            keep(run, path)
