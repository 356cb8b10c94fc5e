"""Evaluations of the tasks on a split of the data."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.record.loop.setup import check_names
from trajlab.record.loop.updates import REMEDY
from trajlab.record.moment import Moment
from trajlab.record.rows import Rows
from trajlab.store import Column, Table, items, standard
from trajlab.store.schema import SPLITS

_logger = logging.getLogger("trajlab")

Value = float | Tensor | NDArray[np.bool_]
Values = Mapping[str, Mapping[str, Value]]
_TAKEN = {"step", "task", "epoch", "wall_time", "items", "item_byte"}
_SPENT = "spent since training began"
_NOT_METRICS = {"loss", "items", "correct"}  # declared otherwise


class Evaluations:
    """Records evaluations, each split in a table of its own.

    Parameters
    ----------
    tasks : tuple of str
        All declared tasks.
    lower_is_better : collection of str
        Those metrics of which less is better.
    rows : Rows
        Where the tables are declared, and their rows go.
    """

    def __init__(self, tasks: Sequence[str], lower_is_better: Collection[str], rows: Rows) -> None:
        self._tasks = tasks
        self._lower_is_better = frozenset(lower_is_better)
        self._rows = rows
        self._told: set[tuple[str, tuple[str, ...]]] = set()
        self._last: dict[str, tuple[Mapping[str, Any], int]] = {}  # of each split

    def row(
        self, split: str, values: Values, clocks: Mapping[str, float] | None = None
    ) -> dict[str, Any]:
        """Check an evaluation, declare its table, and return its row.

        Parameters
        ----------
        split : str
            Of the data.
        values : mapping
            As `evaluation_row` takes them.
        clocks : mapping, optional
            What training has spent so far, by name.

        Raises
        ------
        TrajlabError
            As `evaluation_row` and `evaluation_table`.
        """
        row = evaluation_row(values, self._tasks)
        if (absent := tuple(task for task in self._tasks if task not in values)) and (
            (split, absent) not in self._told
        ):
            self._told.add((split, absent))
            _logger.warning(
                "an evaluation on %s lacks %s, whose numbers are NaN; this is said once",
                split,
                ", ".join(absent),
            )
        spent = clock_row(clocks or {}, row)
        declared = evaluation_table(split, self._tasks, row, self._lower_is_better)
        columns = tuple(Column(name, description=_SPENT) for name in spent)
        wall_time = Column("wall_time", units="s", description="time since the run was created")
        columns = (wall_time, *columns)
        self._rows.declare(replace(declared, columns=(*declared.columns, *columns)))
        return row | spent

    def record(self, split: str, row: Mapping[str, Any], moment: Moment, waiting: int = 0) -> None:
        """Record the row of an evaluation of the weights at a moment.

        One at the step of the last one takes its place, which is told unless it is the same one.

        Parameters
        ----------
        split : str
            As `row` was given it.
        row : mapping
            What `row` returned.
        moment : Moment
            When.
        waiting : int
            Backward passes since the last update.
        """
        row = {"step": moment.step, "epoch": moment.epoch, "wall_time": moment.wall_time, **row}
        former, waited = self._last.get(split, (None, 0))
        if former is not None and former["step"] == moment.step:
            if waiting > waited:
                why = f"{waiting} backward passes came since the last update: {REMEDY}"
                self._warn("stands", split, moment.step, why)
            elif not _equal(former, row):
                why = "give all tasks and metrics of a step in one call, or step="
                self._warn("again", split, moment.step, why)
        self._last[split] = row, waiting
        self._rows.append(f"evaluations/{split}", row)

    def _warn(self, cause: str, split: str, step: int, why: str) -> None:
        if (split, (cause,)) not in self._told:
            self._told.add((split, (cause,)))
            _logger.warning(
                "an evaluation on %s takes the place of another one at the same step %d (said "
                "once): %s",
                split,
                step,
                why,
            )


def evaluation_table(
    split: str,
    tasks: Sequence[str],
    row: Mapping[str, Any],
    lower_is_better: Collection[str],
) -> Table:
    """Declare the evaluations of one split.

    Parameters
    ----------
    split : str
        ``train``, ``validation`` or ``test``.
    tasks : sequence of str
        All declared tasks.
    row : mapping
        What `evaluation_row` returned.
    lower_is_better : collection of str
        Those metrics of which less is better; ``loss`` always is.

    Returns
    -------
    Table
        One column (step, task) a metric, with the attribute ``higher_is_better``, and those of
        `trajlab.store.items` if the row has flags.

    Raises
    ------
    TrajlabError
        If the split or the name of a metric is not allowed.
    """
    if split not in SPLITS:
        raise TrajlabError(f"{split!r} is no split; evaluate on {', '.join(SPLITS)}")
    table = standard(f"evaluations/{split}", task=tasks)
    columns = [
        Column(name, ("step", "task"), attributes={"higher_is_better": name not in lower_is_better})
        for name in row
        if name not in _NOT_METRICS
    ]
    columns += items.COLUMNS if "correct" in row else ()
    labels = {"item_byte": range(row["correct"].shape[1])} if "correct" in row else {}
    return replace(
        table,
        columns=(*table.columns, *columns),
        coordinates={**table.coordinates, **labels},
    )


def evaluation_row(values: Values, tasks: Sequence[str]) -> dict[str, Any]:
    """Arrange the values of one evaluation by metric.

    Parameters
    ----------
    values : mapping
        ``{task: {metric: value}}``; what a task lacks is NaN. ``correct`` holds one flag an item.
    tasks : sequence of str
        All declared tasks.

    Returns
    -------
    dict of str to list or numpy.ndarray
        One number a task for each metric, and the flags packed by `trajlab.store.items`.

    Raises
    ------
    TrajlabError
        If there is no number, a task is not declared, a value is not one number or, of
        ``correct``, not a flat array of flags, or the name of a metric is taken.
    """
    for task, of_task in values.items() if isinstance(values, Mapping) else ((None, values),):
        if not isinstance(of_task, Mapping):
            raise TrajlabError(
                f"the evaluation{f' of task {task!r}' if task else ''} is {of_task!r}; give "
                "{task: {metric: value}}, such as {'left': {'loss': 0.5, 'accuracy': 0.9}}"
            )
        if task not in tasks:
            raise TrajlabError(
                f"task {task!r} is evaluated but not declared; declare it in tasks=, beside "
                f"{', '.join(tasks)}"
            )
    if not any(values.values()):
        raise TrajlabError(
            "the evaluation holds no number; give {task: {metric: value}}, or leave the call out"
        )
    metrics = dict.fromkeys(name for of_task in values.values() for name in of_task)
    check_names("the evaluation's metrics", metrics)
    for name in _TAKEN & metrics.keys():
        raise TrajlabError(f"{name!r} is a column of trajlab's own; give the metric another name")
    row: dict[str, Any] = {
        metric: [
            _number(values.get(task, {}).get(metric, float("nan")), metric, task) for task in tasks
        ]
        for metric in metrics
        if metric != "correct"
    }
    flags = {task: of_task["correct"] for task, of_task in values.items() if "correct" in of_task}
    return row | (items.pack({t: _array(f) for t, f in flags.items()}, tasks) if flags else {})


def clock_row(clocks: Mapping[str, float], row: Mapping[str, Any]) -> dict[str, float]:
    """Check what training has spent, and return it.

    Parameters
    ----------
    clocks : mapping of str to float
        What, and how much since training began: ``{"tokens": 5e9}``.
    row : mapping
        What `evaluation_row` returned.

    Raises
    ------
    TrajlabError
        If one is no number from 0 on, or its name is taken.
    """
    for name, value in clocks.items():
        if name in _TAKEN or name in row:
            raise TrajlabError(
                f"{name!r} is recorded by another way already; set recorder.epoch for epochs, and "
                "give a metric or a sum of what was spent a name of its own"
            )
        number = _number(value, name, "")
        if not (np.isfinite(number) and number >= 0):
            raise TrajlabError(f"{name} is {value!r}; give what was spent since training began")
    return {name: float(value) for name, value in clocks.items()}


def _equal(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(a[name], b[name], equal_nan=True)
        for name in a.keys() - {"epoch", "wall_time"}
    )


def _array(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _number(value: Any, metric: str, task: str) -> float:
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        whose = f" of task {task!r}" if task else ""
        raise TrajlabError(
            f"{metric}{whose} is {value!r}; give one number"
            + (" a task and metric" if task else "")
        ) from None
