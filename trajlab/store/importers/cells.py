"""The cells of a CSV or JSON file, and sentences that say where one is wrong."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from trajlab.errors import TrajlabError
from trajlab.store.importers.json_rows import is_list, json_rows, unrolled
from trajlab.store.importers.numerals import Numerals, filled
from trajlab.store.importers.texts import read_text

_T = TypeVar("_T")
_WHOLE = "whole number"
_PRINTED = " alone; what a script printed is made a table first (docs/logs.md, by way of a CSV)"


class Cells:
    """A table read as text, so that numbers are parsed exactly and errors name their line.

    Parameters
    ----------
    path
        A CSV file with a header line, or rows of JSON (:mod:`trajlab.store.importers.json_rows`).
    separator
        What stands between two cells, one character.
    decimal
        What stands before the decimals.

    Raises
    ------
    TrajlabError
        If it cannot be read, has no rows, or a row has more or fewer cells than the header.

    Attributes
    ----------
    header : list of str
        The names of the columns.
    lines : list of int
        The line of the file on which each row ends.
    notes : list of str
        What was passed over: lines that repeat the header.
    """

    def __init__(self, path: Path, separator: str = ",", decimal: str = ".") -> None:
        self.path, self._numerals = path, Numerals(decimal)
        self.header: list[str] = []
        self.lines: list[int] = []
        self.notes: list[str] = []
        self._rows: list[list[str]] = []
        self._lists = ""  # what to do about lists
        text = read_text(path)
        if (objects := json_rows(path, text)) is None:
            self._read(text, separator)
            return
        rows, self.notes = objects
        self._numerals = Numerals(".")
        self.header = list(dict.fromkeys(name for row in rows.values() for name in row))
        self._lists = unrolled(path) if len(rows) == 1 else ""
        self.lines = list(rows)
        self._rows = [[row.get(name, "") for name in self.header] for row in rows.values()]

    def _read(self, text: str, separator: str) -> None:
        path, lines = self.path, io.StringIO(text, newline="")
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
        try:
            for row in reader:
                self._take([cell.strip() for cell in row], reader.line_num)
        except csv.Error as error:
            raise TrajlabError(
                f"{path} is not a CSV table: {error} in line {reader.line_num}"
            ) from error
        if not self._rows:
            raise TrajlabError(f"{path} has no rows below its header")
        if may := self._other_separator():
            raise TrajlabError(f"{path} has one column, {self.header[0]!r}{may}")

    def _take(self, row: list[str], line: int) -> None:
        if not any(row):
            return
        if not self.header:
            self.header = row
        elif row == self.header:
            self.notes.append(f"line {line} of {self.path.name} repeats the header")
        elif len(row) != len(self.header):
            raise TrajlabError(
                f"{self.path} is not a CSV table: line {line} has {len(row)} cells and the header "
                f"{len(self.header)}{self._other_separator() or self._remark()}"
            )
        else:
            self._rows.append(row)
            self.lines.append(line)

    def _other_separator(self) -> str:
        """Say what may stand between the cells of a header that seems to be one."""
        other = re.search(r"[;\t|,]", self.header[0]) if len(self.header) == 1 else None
        if other is None:
            return ""
        may = "tab" if other[0] == "\t" else f"'{other[0]}'"
        return f"; its separator may be {may}: --separator {may}, and --decimal , for 0,5"

    def _remark(self) -> str:
        return "; is line 1 a remark? take it out" if self.header[0].startswith("#") else ""

    def texts(self, column: str) -> list[str]:
        """Return a column; an empty cell is an error."""
        return self._parse(column, filled, "text")

    def numbers(self, column: str) -> list[float | None]:
        """Return a column as numbers, of which ``nan`` is one; None where a cell is blank."""
        return self._parse(column, self._numerals.number_or_blank, "number")

    def all_numbers(self, column: str) -> list[float]:
        """Return a column as numbers; an empty cell is an error."""
        return self._parse(column, self._numerals.number, "number")

    def steps(self, column: str) -> list[int]:
        """Return a column as whole numbers that are at least 0."""
        return self._parse(column, self._numerals.step, _WHOLE)

    def maybe_steps(self, column: str) -> list[int | None]:
        """Return a column as whole numbers, None where a cell is blank."""
        return self._parse(column, self._numerals.step_or_blank, _WHOLE)

    def numeric(self, column: str) -> bool:
        """Whether a column is of numbers and blank cells, and has a number."""
        try:
            return any(value is not None for value in self.numbers(column))
        except TrajlabError:
            return False

    def column(self, column: str) -> list[str]:
        """Return a column as it stands.

        Raises
        ------
        TrajlabError
            If there is none of that name, or there are two.
        """
        if self.header.count(column) > 1:
            raise TrajlabError(f"{self.path} has several columns {column!r}; rename them apart")
        if column not in self.header:
            lone = "" if len(self.header) > 1 else _PRINTED
            raise TrajlabError(
                f"{self.path} has no column {column!r}; it has {', '.join(self.header)}{lone}"
            )
        position = self.header.index(column)
        return [row[position] for row in self._rows]

    def _parse(self, column: str, parse: Callable[[str], _T], what: str) -> list[_T]:
        values = []
        for line, text in zip(self.lines, self.column(column), strict=True):
            try:
                values.append(parse(text))
            except ValueError:
                shown = repr(text) if text else "an empty cell"
                advice = _advice(text, what)
                if is_list(text):
                    shown, advice = "a list", self._lists
                raise TrajlabError(
                    f"{self.path} has {shown} in line {line}, column {column!r}, where a {what} "
                    f"must stand{advice}"
                ) from None
        return values


def _advice(text: str, what: str) -> str:
    """Say what to do about a cell that is no number, where that is known."""
    if not text and what == _WHOLE:
        return "; name a column of steps that every row has"
    if text.endswith("%"):
        return "; take the sign out (sed -i 's/%//g' FILE), the numbers may stay percent"
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", text):
        return "; take out the commas of thousands, or is its decimal a comma (--decimal ,)?"
    return "; is its decimal a comma (--decimal ,)?" if re.fullmatch(r"-?\d+,\d+", text) else ""
