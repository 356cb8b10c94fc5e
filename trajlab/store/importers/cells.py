"""The cells of a CSV file, and sentences that say where one is wrong."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pandas as pd

from trajlab.errors import TrajlabError

Label = int | float | str
_T = TypeVar("_T")


class Cells:
    """A CSV file read as text, so that numbers are parsed exactly and errors name their line.

    Parameters
    ----------
    path
        The file, with a header line.

    Raises
    ------
    TrajlabError
        If it cannot be read as a table, or has no rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # blank lines are kept: the line of row i is i + 2
            table = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
        except OSError as error:
            raise TrajlabError(f"{path} cannot be read: {error.strerror}") from error
        except ValueError as error:  # pandas' and Unicode's errors are
            raise TrajlabError(f"{path} is not a CSV table: {str(error).strip()}") from error
        table = table.fillna("")
        self._table = table[(table != "").any(axis=1)]
        if self._table.empty:
            raise TrajlabError(f"{path} has no rows below its header")

    def texts(self, column: str) -> list[str]:
        """Return a column; an empty cell is an error."""
        return self._parse(column, _text, "text")

    def numbers(self, column: str) -> list[float]:
        """Return a column as numbers; ``nan`` and ``inf`` are numbers, an empty cell is not."""
        return self._parse(column, float, "number")

    def steps(self, column: str) -> list[int]:
        """Return a column as whole numbers that are at least 0."""
        return self._parse(column, _step, "whole number")

    def line(self, position: int) -> int:
        """Return the line of the file on which a row stands."""
        return int(self._table.index[position]) + 2

    def _parse(self, column: str, parse: Callable[[str], _T], what: str) -> list[_T]:
        if column not in self._table:
            raise TrajlabError(
                f"{self.path} has no column {column!r}; it has {', '.join(self._table.columns)}"
            )
        values = []
        for position, text in enumerate(self._table[column]):
            try:
                values.append(parse(text))
            except ValueError:
                found = repr(text) if text.strip() else "an empty cell"
                raise TrajlabError(
                    f"{self.path} has {found} in line {self.line(position)}, column {column!r}, "
                    f"where a {what} must stand"
                ) from None
        return values


def labels(texts: list[str]) -> list[Label]:
    """Return texts as whole numbers, else as numbers, else as they are, whichever fits all."""
    kinds: tuple[Callable[[str], Label], ...] = (int, float)
    for kind in kinds:
        with suppress(ValueError):
            return [kind(text) for text in texts]
    return list(texts)


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text.strip()


def _step(text: str) -> int:
    value = float(text)
    if value < 0 or not value.is_integer():
        raise ValueError
    return int(value)
