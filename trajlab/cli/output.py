"""Print the tables of a result so that a terminal 80 columns wide can hold them."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Mapping

import click
from rich import box
from rich.console import Console
from rich.table import Table

from trajlab.cli.terminal import words
from trajlab.lazy import pd
from trajlab.report.readable import Readable, readable
from trajlab.report.tables import brief, main_table, to_json

TERMINAL_ROWS = 20  # rows of a table that is not the main one
WORDS = 24  # characters of running text a column needs at least
SPACE = 2  # between two columns


def show(
    tables: Mapping[str, pd.DataFrame],
    *,
    as_json: bool = False,
    first: str = "summary",
    details: Collection[str] = (),
) -> None:
    """Print tables: the main one first, then the others if they are short.

    Parameters
    ----------
    tables
        Their names and contents.
    as_json
        Whether as JSON, all in full, instead of as text.
    first
        The main one; the first if there is none of that name.
    details
        Columns that the text leaves out, and whole tables.
    """
    if as_json:
        click.echo(to_json(tables))
        return
    console = Console(highlight=False)
    main = main_table(tables, first)
    ordered = sorted(tables.items(), key=lambda item: item[1] is not main)  # stable: others after
    unsaid = []
    for name, table in ordered:
        if table is not main and table.empty:
            continue
        if table is not main and (len(table) > TERMINAL_ROWS or name in details):
            unsaid.append(f"{name} ({len(table)} rows)")
            continue
        console.print(words(name, "bold"))
        if table.empty:
            console.print("no rows")
        else:
            _brief(console, table, details)
        console.print()
    if unsaid or any(name in details for name in main):
        said = ", ".join([*unsaid, f"every column of {ordered[0][0]}"] if details else unsaid)
        console.print(words(f"--json prints all: {said}.", "dim"))


def _brief(console: Console, table: pd.DataFrame, details: Collection[str]) -> None:
    """Print a table without its details; rows that are nothing but a reason are sentences."""
    counts = [name for name in map(str, table) if name.startswith("n_")]
    measured = [name for name in map(str, table.select_dtypes("number")) if name not in counts]
    measured = [name for name in measured if table[name].notna().any()]
    explained = "reason" in table and bool(measured)
    empty = table[measured].isna().all(axis="columns") if explained else pd.Series(False)
    shown = brief(table, details)
    if not empty.any():
        _show(console, readable(shown))
        return
    _show(console, readable(shown[~empty]))
    for reason, rows in table[empty].groupby("reason"):
        console.print(words(f"{len(rows)} more without numbers: {reason}.", "dim"))


def _show(console: Console, table: Readable) -> None:
    if table.common:
        said = " · ".join(f"{name.replace('_', ' ')} {text}" for name, text in table.common.items())
        console.print(words(said, "dim"))
    widths = {name: _width(table, name) for name in map(str, table.cells)}
    if sum(widths.values()) + SPACE * len(widths) <= console.width:
        console.print(_upright(table, widths))
    else:
        console.print(*_lying(table, console.width), sep="\n")


def _width(table: Readable, name: str) -> int:
    cells = list(table.cells[name])
    longest = max(map(len, cells))
    if name not in table.numeric:  # text may be wrapped, but not inside a word
        lengths = [len(word) for cell in cells for word in cell.split()]
        longest = min(longest, max(WORDS, *lengths))
    return max(longest, *map(len, name.split("_")))


def _empty(*, header: bool) -> Table:
    return Table(
        box=box.SIMPLE_HEAD,
        show_header=header,
        show_edge=False,
        pad_edge=False,
        padding=(0, SPACE - 1, 0, 0),
    )


def _upright(table: Readable, widths: Mapping[str, int]) -> Table:
    """One line a row."""
    made = _empty(header=True)
    for name, width in widths.items():
        made.add_column(
            words(textwrap.fill(name.replace("_", " "), width)),
            min_width=width,
            justify="right" if name in table.numeric else "left",
            overflow="fold",
        )
    for row in table.cells.itertuples(index=False):
        made.add_row(*map(words, row))
    return made


def _lying(table: Readable, width: int) -> Iterator[Table]:
    """One line a column of the table, as many of its rows beside each other as fit."""
    names = [name.replace("_", " ") for name in map(str, table.cells)]
    room = width - max(map(len, names)) - 2 * SPACE
    # A word longer than the screen, such as a path, is folded; nothing is cut off.
    each = min(room, max(_width(table, name) for name in map(str, table.cells)))
    beside = max(1, (room + SPACE) // (each + SPACE))
    for first in range(0, len(table.cells), beside):
        block = table.cells.iloc[first : first + beside]
        made = _empty(header=False)
        made.add_column()
        for _ in range(len(block)):
            made.add_column(min_width=each, overflow="fold")
        for name, label in zip(block, names, strict=True):
            made.add_row(words(label, "dim"), *map(words, block[name]))
        yield made
