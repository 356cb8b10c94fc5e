"""Runs made of a DataFrame, without a file: every analysis of runs takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlab.analysis.runs.recorded import Steps
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store import Column, Table, Trajectory
from trajlab.store.importers.places import CLOCKS
from trajlab.store.view import View

_AXES = ("step", "task")


def runs_from_frame(
    frame: pd.DataFrame,
    *,
    metrics: Sequence[str] = (),
    lower_is_better: Sequence[str] = (),
    split: str = "test",
) -> list[Trajectory]:
    """Take the rows of a DataFrame for runs, in memory.

    Parameters
    ----------
    frame
        One row a run, step and task: columns `step`, `task` (one task without it), `train_loss`
        (the loss on the whole training set), the `metrics`, and quantities by their name as
        ``table/column``: ``sharpness/value``, ``evaluations/validation/accuracy``, ``losses/loss``
        (of the batches trained on). `epoch`, `tokens`, `samples`, `wall_time` and `flops` are
        clocks: what a run had spent by the step. Every other column is metadata, such as `method`
        and `seed`: equal values make a run.
    metrics
        Columns that are metrics on `split`.
    lower_is_better
        Those metrics of which less is better.
    split
        The split that the metrics were measured on.

    Returns
    -------
    list of Trajectory
        Complete runs, in order of appearance; named after their metadata.

    Raises
    ------
    TrajlabError
        If a column is missing, or a run has two rows of one step and task.

    Examples
    --------
    >>> frame = pd.DataFrame(
    ...     {
    ...         "method": ["single"] * 4,
    ...         "seed": [0, 0, 1, 1],
    ...         "step": [1, 2, 1, 2],
    ...         "train_loss": [0.5, 0.1, 0.6, 0.1],
    ...         "accuracy": [0.7, 0.8, 0.6, 0.8],
    ...     }
    ... )
    >>> [run.metadata["seed"] for run in runs_from_frame(frame, metrics=["accuracy"])]
    [0, 1]
    """
    for column in ("step", *metrics, *lower_is_better):
        if column not in frame:
            known = ", ".join(map(str, frame))
            raise TrajlabError(f"the frame has no column {column!r}; it has {known}")
    rows = frame if "task" in frame else frame.assign(task="task")
    places = {name: f"evaluations/{split}/{name}" for name in metrics}
    places |= {"train_loss": "evaluations/train/loss"} if "train_loss" in rows else {}
    columns = list(map(str, rows))
    values = {name: places.get(name, name) for name in columns if name in places or "/" in name}
    clocks = [name for name in columns if name in CLOCKS]
    keys = [name for name in columns if name not in (*_AXES, *values, *clocks)]
    runs: list[Trajectory] = []
    groups = rows.groupby(keys, sort=False, dropna=False) if keys else [((), rows)]
    for names, members in groups:
        metadata: dict[str, Any] = dict(zip(keys, names, strict=True))
        if members.duplicated([*_AXES]).any():
            raise TrajlabError(
                f"the run {metadata} has two rows of one step and task; add a column that tells "
                "its runs apart"
            )
        wide = members[[*_AXES, *values, *clocks]].rename(columns=values)
        runs.append(_InMemory(metadata, wide, {values[name] for name in lower_is_better}))
    return runs


class _InMemory(Trajectory):
    """A run whose tables are the columns of a frame."""

    def __init__(self, metadata: dict[str, Any], rows: pd.DataFrame, lower: set[str]) -> None:
        self.path = Path("-".join(map(str, metadata.values())) or "run")
        self.run_id, self.created, self.status = str(self.path), "", "complete"
        self.metadata = {str(key): value for key, value in metadata.items()}
        self.shared, self.provenance, self.problems = [], {}, ()
        which, tasks = pd.factorize(rows["task"].to_numpy(object))
        self.tasks = [str(task) for task in tasks]
        columns = {str(name): rows[name].to_numpy(float) for name in rows if name not in _AXES}
        clocks = {name: columns.pop(name) for name in CLOCKS if name in columns}
        of_tables: dict[str, dict[str, FloatArray]] = {}
        for name, values in columns.items():
            table, _, short = name.rpartition("/")
            of_tables.setdefault(table, {})[short] = values
        less = {"loss", *(name.rpartition("/")[2] for name in lower)}
        step = rows["step"].to_numpy(np.int64)
        self.tables = tuple(of_tables)
        self._views = {
            name: _Held(name, step, (which, tasks), own, clocks, less)
            for name, own in of_tables.items()
        }

    def refresh(self) -> None:
        """Do nothing: what is in memory does not grow."""


class _Held(View):
    """A table of an :class:`_InMemory` run; rows without any of its values are left out."""

    def __init__(
        self,
        name: str,
        step: Steps,
        task: tuple[npt.NDArray[np.intp], Any],
        columns: dict[str, FloatArray],
        clocks: dict[str, FloatArray],
        less: set[str],
    ) -> None:
        self.name = name
        told = _told(step, np.column_stack(list(columns.values())))
        steps, place = np.unique(step[told], return_inverse=True)
        which, tasks = task
        self._values = {"step": steps, "task": tasks}
        for column, values in columns.items():
            wide = np.full((len(steps), len(tasks)), np.nan)
            wide[place, which[told]] = values[told]
            self._values[column] = wide
        for clock, values in clocks.items():  # what a row says holds for the step
            said = np.full(len(steps), np.nan)
            np.fmax.at(said, place, values[told])
            self._values[clock] = said
        self.declared = Table(
            name,
            tuple(
                Column(short, ("step",))
                if short in clocks
                else Column(short, _AXES, attributes={"higher_is_better": short not in less})
                for short in list(self._values)[2:]
            ),
            {"task": [str(each) for each in tasks]},
        )

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __repr__(self) -> str:
        return f"Table {self.name} in memory: {', '.join(self._values)}"


def _told(step: Steps, values: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell which rows say something: those with a value, and those after the values broke off.

    What is not measured at every step has pauses; blanks at the end of a run that are longer than
    any of them are a run that diverged.
    """
    known = ~np.isnan(values).all(axis=1)
    steps = np.unique(step)
    places = np.searchsorted(steps, np.unique(step[known]))
    if not places.size:
        return np.ones_like(known)  # evaluated, and never with a value
    pauses = np.diff(places, prepend=-1) - 1
    broken = steps.size - 1 - places[-1] > pauses.max()
    return np.asarray(known | (broken & (step > steps[places[-1]])))
