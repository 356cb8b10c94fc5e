"""Runs made up of given numbers, and the reference trajectories as runs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trajlab.store import Trajectory, Writer
from trajlab.store.importers.csv import import_csv
from trajlab.store.schema import Column, standard

REFERENCE = Path(__file__).parents[1] / "data" / "fashion_mtl" / "fashion_mtl_trajectories.csv"

MakeRun = Callable[..., Trajectory]


def write_run(
    path: Path,
    evaluations: Mapping[str, Mapping[str, Any]],
    *,
    tasks: list[str],
    lower_is_better: tuple[str, ...] = (),
    status: str = "complete",
    **metadata: Any,
) -> Trajectory:
    """Write a run: split -> column -> (n,) or (n, task) values; `step` counts from 0."""
    writer = Writer(path, tasks, metadata=metadata)
    for split, columns in evaluations.items():
        table = standard(f"evaluations/{split}", task=tasks)
        extra = tuple(
            Column(
                name,
                ("step", "task"),
                attributes={"higher_is_better": name not in lower_is_better},
            )
            for name in columns
            if name not in ("step", "loss")
        )
        writer.declare(
            type(table)(table.name, (*table.columns, *extra), table.coordinates, kind=table.kind)
        )
        values = {name: np.asarray(column, float) for name, column in columns.items()}
        steps = values.pop("step", np.arange(len(next(iter(values.values())))))
        for i, step in enumerate(steps):
            row = {name: np.atleast_1d(column[i]) for name, column in values.items()}
            writer.append(table.name, {"step": int(step), **row})
    writer.close(status)
    return Trajectory(path)


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return :func:`write_run` with a new path for each run."""
    made: list[Trajectory] = []

    def make(evaluations: Mapping[str, Mapping[str, Any]], **options: Any) -> Trajectory:
        options.setdefault("tasks", ["left"])
        made.append(write_run(tmp_path / f"{len(made)}.h5", evaluations, **options))
        return made[-1]

    return make


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[Trajectory]:
    """Return the nine reference trajectories as runs, with their factors."""
    paths = import_csv(
        REFERENCE,
        tmp_path_factory.mktemp("reference"),
        meta={"method": "setting", "seed": "seed"},
        const={"setting": "FashionMTL", "task": "fashion1"},
        step="epoch",
        train_loss="train_loss",
        metric={"accuracy": "test_acc"},
        quantity={"sharpness": "sharpness", "gradient_covariance": "grad_cov", "fisher": "fim"},
    )
    return [Trajectory(path) for path in paths]
