"""The cells of a CSV file, and sentences that say where one is wrong."""

import csv
import io
import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from trajlab.errors import TrajlabError
from trajlab.store.importers.numerals import Numerals, filled
from trajlab.store.importers.texts import read_text

_T = TypeVar("_T")


class Cells:
    """A CSV file read as text, so that numbers are parsed exactly and errors name their line.

    Parameters
    ----------
    path
        The file, with a header line.
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
        text = read_text(path)
        if _is_json(text):
            raise TrajlabError(
                f"{path} is JSON, not a CSV table; pandas.read_json(…).to_csv(…) makes one of it"
            )
        lines = io.StringIO(text, newline="")
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
        self.header: list[str] = []
        self.lines: list[int] = []
        self.notes: list[str] = []
        self._rows: list[list[str]] = []
        try:
            for row in reader:
                self._take([cell.strip() for cell in row], reader.line_num)
        except csv.Error as error:
            raise TrajlabError(
                f"{path} is not a CSV table: {error} in line {reader.line_num}"
            ) from error
        if not self._rows:
            raise TrajlabError(f"{path} has no rows below its header")
        if len(self.header) == 1 and (other := re.search(r"[;\t|,]", self.header[0])):
            raise TrajlabError(
                f"{path} has one column, {self.header[0]!r}; its separator may be {other[0]!r}"
            )

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
                f"{len(self.header)}"
            )
        else:
            self._rows.append(row)
            self.lines.append(line)

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
        return self._parse(column, self._numerals.step, "whole number")

    def maybe_steps(self, column: str) -> list[int | None]:
        """Return a column as whole numbers, None where a cell is blank."""
        return self._parse(column, self._numerals.step_or_blank, "whole number")

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
            raise TrajlabError(
                f"{self.path} has no column {column!r}; it has {', '.join(self.header)}"
            )
        position = self.header.index(column)
        return [row[position] for row in self._rows]

    def _parse(self, column: str, parse: Callable[[str], _T], what: str) -> list[_T]:
        values = []
        for line, text in zip(self.lines, self.column(column), strict=True):
            try:
                values.append(parse(text))
            except ValueError:
                found = repr(text) if text else "an empty cell"
                comma = re.fullmatch(r"-?\d+,\d+", text)
                raise TrajlabError(
                    f"{self.path} has {found} in line {line}, column {column!r}, where a {what} "
                    f"must stand{'; is its decimal a comma?' if comma else ''}"
                ) from None
        return values


def _is_json(text: str) -> bool:
    """Whether a text, or its first line, is a mapping or list of JSON."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    for part in (text, text.lstrip().splitlines()[0]):
        with suppress(ValueError):
            json.loads(part)
            return True
    return False
