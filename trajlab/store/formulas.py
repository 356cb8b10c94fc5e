"""Tables for spreadsheets, which compute what looks like a formula wherever it comes from."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from trajlab.lazy import pd

_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n")


def inert(table: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before each text, in cells and head, that a spreadsheet would compute.

    Parameters
    ----------
    table
        Any table.
    """
    texts = [str(name) for name in table if table[name].dtype.kind not in "biuf"]
    return table.assign(**{name: table[name].map(_inert) for name in texts}).rename(columns=_inert)


def _inert(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_BEGINS):
        with suppress(ValueError):
            float(value)
            return value
        return f"'{value}"
    return value
