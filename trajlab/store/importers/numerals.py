"""Numbers as they are written in the cells of a table."""

from collections.abc import Callable
from contextlib import suppress

Label = int | float | str

# as R, JSON, Python, spreadsheets and pandas write that there is nothing; NaN is a number
_BLANK = ("", "-", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "None")


class Numerals:
    """How numbers are written; each method raises ValueError where a text is none.

    Parameters
    ----------
    decimal
        What stands before the decimals.
    """

    def __init__(self, decimal: str) -> None:
        self._decimal = decimal

    def number(self, text: str) -> float:
        """Return a number, of which ``nan`` is one."""
        # a point is then between thousands, or the comma no decimal's; Python's 1_000 is no cell
        if (self._decimal != "." and "." in text) or "_" in text:
            raise ValueError
        return float(text.replace(self._decimal, "."))

    def number_or_blank(self, text: str) -> float | None:
        """Return a number, or None for a blank cell."""
        return None if text in _BLANK else self.number(text)

    def step(self, text: str) -> int:
        """Return a whole number that is at least 0."""
        value = self.number(text)
        if value < 0 or not value.is_integer():
            raise ValueError
        return int(value)

    def step_or_blank(self, text: str) -> int | None:
        """Return a whole number that is at least 0, or None for a blank cell."""
        return None if text in _BLANK else self.step(text)


def filled(text: str) -> str:
    """Return a text that is not empty; else raise ValueError."""
    if not text:
        raise ValueError
    return text


def labels(texts: list[str]) -> list[Label]:
    """Return texts as whole numbers, else as numbers, else as they are, whichever fits all."""
    if any("_" in text for text in texts):  # which Python reads as 1_000
        return list(texts)
    kinds: tuple[Callable[[str], Label], ...] = (int, float)
    for kind in kinds:
        with suppress(ValueError):
            return [kind(text) for text in texts]
    return list(texts)
