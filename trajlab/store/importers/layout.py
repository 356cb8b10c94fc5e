"""Read CSV tables whose columns the user has named."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store.importers.cells import Cells
from trajlab.store.importers.logged import Found, LoggedRun, Unreadable
from trajlab.store.importers.naming import NamePattern
from trajlab.store.importers.places import CLOCKS, fields, wizard

_END = 1  # a row without a step is no row before training, which step 0 would be
_UNKNOWN = f"its steps are not known; its one row is kept as step {_END} (--const step=N tells it)"


@dataclass(frozen=True)
class Layout:
    """What the columns of a table are.

    Attributes
    ----------
    keys : mapping of str to str
        Column by key of ``--map``.
    full : collection of str
        Columns in which an empty cell is an error.
    meta : mapping of str to str
        Column by metadata.
    step : str or None
        The column of steps.
    separator, decimal : str
        As in `Cells`.
    part : dict of str to str
        What holds for all rows: ``task``, ``step``.
    """

    keys: Mapping[str, str]
    full: Collection[str]
    meta: Mapping[str, str]
    step: str | None
    separator: str
    decimal: str
    part: dict[str, str]


def read_tables(
    files: Mapping[Path, str], layout: Layout, pattern: NamePattern | None
) -> Iterator[Found]:
    """Return the runs in each file; one that cannot be read does not block the others.

    Parameters
    ----------
    files
        What each file is called.
    layout
        What its columns are.
    pattern
        How the files are called, if that says something.

    Raises
    ------
    TrajlabError
        If no file has one of the columns.
    """
    tables: list[tuple[str, Cells | Unreadable]] = []
    for file, name in files.items():
        try:
            tables.append((name, Cells(file, layout.separator, layout.decimal)))
        except TrajlabError as error:
            tables.append((name, Unreadable(str(error))))
    read = [table for _, table in tables if isinstance(table, Cells)]
    for column in layout.keys.values():
        if read and not any(column in table.header for table in read):
            read[0].column(column)
    for name, table in tables:
        if isinstance(table, Unreadable):
            yield table
            continue
        try:
            match = pattern.match(name) if pattern else None
            named, part, _ = match or ({}, {}, "")
            yield from _runs(name, table, layout, named, layout.part | part)
        except TrajlabError as error:
            yield Unreadable(str(error))


def _runs(
    name: str, cells: Cells, layout: Layout, named: Mapping[str, str], part: Mapping[str, str]
) -> Iterator[LoggedRun]:
    """Return one part of a run for each combination of metadata and what keys have in braces."""
    within = dict.fromkeys(
        field
        for key in layout.keys
        for field in fields(key)
        if field in cells.header and field not in part and field not in named
    )
    wanted = dict.fromkeys(
        [c for c in layout.keys.values() if c in cells.header]
        or [c for c in cells.header if c != layout.step and cells.numeric(c)]
    )
    clocks = [c for c in CLOCKS if c in cells.header and c != layout.step and cells.numeric(c)]
    wanted |= dict.fromkeys(clocks)
    told = {key: cells.texts(column) for key, column in layout.meta.items()}
    parts = {column: cells.texts(column) for column in within}
    steps = _steps(cells, layout.step, part)
    numbers: dict[str, Sequence[float | None]] = {
        column: cells.all_numbers(column) if column in layout.full else cells.numbers(column)
        for column in wanted
    }
    logged: dict[tuple[str, ...], LoggedRun] = {}
    series: dict[tuple[str, ...], dict[str, dict[int, float]]] = {}
    for i, line in enumerate(cells.lines):
        identity = {key: texts[i] for key, texts in told.items()}
        its = {key: texts[i] for key, texts in parts.items()}
        which = tuple(chain(identity.values(), its.values()))
        if which not in logged:
            series[which] = {column: {} for column in wanted}
            notes = [*cells.notes, *([_UNKNOWN] if steps is None else [])]
            logged[which] = LoggedRun(
                name, identity, series[which], notes, its | dict(part), str(cells.path)
            )
        for column in wanted:
            value, step = numbers[column][i], _END if steps is None else steps[i]
            if value is None or (column in clocks and step in series[which][column]):
                continue  # a clock says when a step was reached first
            if step in series[which][column]:
                if steps is None and not layout.keys:
                    raise TrajlabError(
                        f"{cells.path} has several rows: name the column of steps (--step), and "
                        f"the others; {wizard(cells.header)}"
                    )
                raise TrajlabError(
                    f"{cells.path} has a second row for one run, step and task in line {line}; "
                    f"name {'the column of steps or ' if steps is None else ''}further metadata "
                    f"columns, or remove it"
                )
            series[which][column][step] = value
    yield from logged.values()


def _steps(cells: Cells, column: str | None, part: Mapping[str, str]) -> list[int] | None:
    """Return the step of each row, or None where none is known."""
    if column is not None:
        return cells.steps(column)
    if "step" not in part:
        return None
    try:
        return [int(part["step"])] * len(cells.lines)
    except ValueError as error:
        raise TrajlabError(
            f"{cells.path} has step {part['step']!r}, which is no whole number"
        ) from error
