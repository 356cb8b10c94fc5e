"""Print the tables of a result so that a terminal 80 columns wide can hold them."""

import textwrap
from collections.abc import Iterator, Mapping

import click
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trajlab.report.readable import Readable, readable
from trajlab.report.tables import main_table, to_json

MOST = 20  # rows of a table that is not the main one
WORDS = 24  # characters of running text a column needs at least
SPACE = 2  # between two columns


def show(tables: Mapping[str, pd.DataFrame], *, as_json: bool = False) -> None:
    """Print tables: the main one, and the others if they are short.

    Parameters
    ----------
    tables
        Their names and contents.
    as_json
        Whether as JSON, all in full, instead of as text.
    """
    if as_json:
        click.echo(to_json(tables))
        return
    console = Console(highlight=False)
    for name, table in tables.items():
        console.print(Text(name, style="bold"))
        if table.empty:
            console.print("no rows")
        elif len(table) > MOST and table is not main_table(tables):
            console.print(Text(f"{len(table)} rows; --json prints them", style="dim"))
        else:
            _show(console, readable(table))
        console.print()


def _show(console: Console, table: Readable) -> None:
    if table.common:
        said = " · ".join(f"{name.replace('_', ' ')} {text}" for name, text in table.common.items())
        console.print(Text(said, style="dim"))
    widths = {name: _width(table, name) for name in map(str, table.cells)}
    if sum(widths.values()) + SPACE * len(widths) <= console.width:
        console.print(_upright(table, widths))
    else:
        console.print(*_lying(table, console.width), sep="\n")


def _width(table: Readable, name: str) -> int:
    cells = list(table.cells[name])
    longest = max(map(len, cells))
    if name not in table.numeric:  # text may be wrapped, but not inside a word
        words = [len(word) for cell in cells for word in cell.split()]
        longest = min(longest, max(WORDS, *words))
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
            Text(textwrap.fill(name.replace("_", " "), width)),
            min_width=width,
            justify="right" if name in table.numeric else "left",
            overflow="fold",
        )
    for row in table.cells.itertuples(index=False):
        made.add_row(*map(Text, row))
    return made


def _lying(table: Readable, width: int) -> Iterator[Table]:
    """One line a column of the table, as many of its rows beside each other as fit."""
    names = [name.replace("_", " ") for name in map(str, table.cells)]
    each = max(_width(table, name) for name in map(str, table.cells))
    beside = max(1, (width - max(map(len, names)) - SPACE) // (each + SPACE))
    for first in range(0, len(table.cells), beside):
        block = table.cells.iloc[first : first + beside]
        made = _empty(header=False)
        made.add_column()
        for _ in range(len(block)):
            made.add_column(min_width=each, overflow="fold")
        for name, label in zip(block, names, strict=True):
            made.add_row(Text(label, style="dim"), *map(Text, block[name]))
        yield made
