"""Placed numbers as the tables of a trajectory file, and back."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from trajlab.store.importers.places import Place, Placed
from trajlab.store.rows import Array
from trajlab.store.schema import standard
from trajlab.store.table import Column, Table
from trajlab.store.trajectory import Trajectory

_SERIES = "series"  # attribute of a column: the names its numbers were logged under


def tables_of(
    placed: Mapping[Place, Placed], tasks: Sequence[str], lower_is_better: Collection[str]
) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Return each table and its rows; what a row does not have is NaN.

    Parameters
    ----------
    placed
        Numbers by place; those of clocks go to every table that has a row at their step.
    tasks
        The labels of every task axis.
    lower_is_better
        Metrics for which lower is better.
    """
    clocks = {where.column: item for where, item in placed.items() if not where.table}
    for name in dict.fromkeys(where.table for where in placed if where.table):
        series = {where: item for where, item in placed.items() if where.table == name}
        steps = sorted({step for item in series.values() for step in item.values})
        row = {step: i for i, step in enumerate(steps)}
        table = _table(name, series, clocks, tasks, lower_is_better)
        columns = {
            column.name: np.full((len(steps), *table.shape(column)), np.nan)
            for column in table.columns
        }
        for where, item in series.items():
            first = tasks.index(where.task)
            second = tasks.index(where.other) if where.other else first
            rows = [row[step] for step in item.values]
            column = columns[where.column]
            if where.other:
                column[rows, first, second] = column[rows, second, first] = [*item.values.values()]
            else:  # an imported sharpness has one rho
                column[(rows, first, 0)[: column.ndim]] = [*item.values.values()]
        for clock, item in clocks.items():
            columns[clock] = np.array([item.values.get(step, math.nan) for step in steps])
            if table.column(clock).dtype == "int64":
                columns[clock] = np.nan_to_num(columns[clock], nan=-1).astype(int)
        yield (
            table,
            [
                {"step": step, **{key: values[i] for key, values in columns.items()}}
                for i, step in enumerate(steps)
            ],
        )


def _table(
    name: str,
    held: Mapping[Place, Placed],
    clocks: Mapping[str, Placed],
    tasks: Sequence[str],
    lower_is_better: Collection[str],
) -> Table:
    """Return the standard table with these columns only; those it has not are metrics."""
    table = standard(name, task=tasks, rho=[math.nan])
    known = {column.name: column for column in table.columns}
    columns = []
    for column in [*clocks, *dict.fromkeys(where.column for where in held)]:
        if column in clocks:
            made = _clock(column, clocks[column])
            series = [clocks[column].series]
        else:
            higher = {"higher_is_better": column not in lower_is_better}
            made = known.get(column) or Column(column, ("step", "task"), attributes=higher)
            series = list(dict.fromkeys(o.series for w, o in held.items() if w.column == column))
        columns.append(replace(made, attributes={**made.attributes, _SERIES: series}))
    return replace(table, columns=tuple(columns), key=("step",))


def _clock(name: str, item: Placed) -> Column:
    whole = all(float(value).is_integer() for value in item.values.values())
    units = "s" if name == "wall_time" else ""
    return Column(name, dtype="int64" if name == "epoch" and whole else "float64", units=units)


def placed_in(run: Trajectory) -> dict[Place, Placed]:
    """Return the numbers of an imported run by place, as `tables_of` took them."""
    placed: dict[Place, Placed] = {}
    for name in run.tables:
        table = run.table(name)
        tasks = list(table.declared.coordinates.get("task", ()))
        for column in table.declared.columns:
            series = ", ".join(column.attributes.get(_SERIES, []))
            for where, array in _by_place(name, column, table[column.name], tasks):
                values = dict(zip(table["step"].tolist(), array.tolist(), strict=True))
                if not where.table:  # a clock may stand in several tables, and have gaps in each
                    values = {step: value for step, value in values.items() if value >= 0}
                    values |= placed[where].values if where in placed else {}
                placed[where] = Placed(series, values)
    return placed


def _by_place(
    table: str, column: Column, array: Array, tasks: Sequence[str]
) -> Iterator[tuple[Place, Array]]:
    if column.axes == ("step",):
        yield Place("", column.name), array
    elif "other_task" in column.axes:
        for (i, task), (j, other) in combinations(enumerate(tasks), 2):
            yield Place(table, column.name, task, other), array[:, i, j]
    else:
        for i, task in enumerate(tasks):
            yield Place(table, column.name, task), array.reshape(len(array), len(tasks))[:, i]


def lower_in(run: Trajectory) -> set[str]:
    """Return the metrics of a run for which lower is better."""
    return {
        column.name
        for name in run.tables
        for column in run.table(name).declared.columns
        if column.attributes.get("higher_is_better") is False
    }
