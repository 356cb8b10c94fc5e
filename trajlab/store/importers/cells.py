"""The cells of a CSV file, and sentences that say where one is wrong."""

import csv
import io
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from trajlab.errors import TrajlabError
from trajlab.store.importers.texts import read_text

Label = int | float | str
_T = TypeVar("_T")

_BLANK = ("", "NA", "null", "None")  # as R, JSON and Python write that there is nothing


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
        self.path, self._decimal = path, decimal
        text = io.StringIO(read_text(path), newline="")
        reader = csv.reader(text, delimiter=separator, skipinitialspace=True, strict=True)
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
        return self._parse(column, _text, "text")

    def numbers(self, column: str) -> list[float | None]:
        """Return a column as numbers, of which ``nan`` is one; None where a cell is blank."""
        return self._parse(column, self._number, "number")

    def all_numbers(self, column: str) -> list[float]:
        """Return a column as numbers; an empty cell is an error."""
        return self._parse(column, self._float, "number")

    def steps(self, column: str) -> list[int]:
        """Return a column as whole numbers that are at least 0."""
        return self._parse(column, self._step, "whole number")

    def maybe_steps(self, column: str) -> list[int | None]:
        """Return a column as whole numbers, None where a cell is blank."""
        return self._parse(column, lambda t: None if t in _BLANK else self._step(t), "whole number")

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
                comma = self._decimal == "." and re.fullmatch(r"-?\d+,\d+", text)
                raise TrajlabError(
                    f"{self.path} has {found} in line {line}, column {column!r}, where a {what} "
                    f"must stand{'; is its decimal a comma?' if comma else ''}"
                ) from None
        return values

    def _number(self, text: str) -> float | None:
        return None if text in _BLANK else self._float(text)

    def _float(self, text: str) -> float:
        if self._decimal != "." and "." in text:  # between thousands, or it is no decimal comma
            raise ValueError
        return float(text.replace(self._decimal, "."))

    def _step(self, text: str) -> int:
        value = self._float(text)
        if value < 0 or not value.is_integer():
            raise ValueError
        return int(value)


def labels(texts: list[str]) -> list[Label]:
    """Return texts as whole numbers, else as numbers, else as they are, whichever fits all."""
    kinds: tuple[Callable[[str], Label], ...] = (int, float)
    for kind in kinds:
        with suppress(ValueError):
            return [kind(text) for text in texts]
    return list(texts)


def _text(text: str) -> str:
    if not text:
        raise ValueError
    return text
