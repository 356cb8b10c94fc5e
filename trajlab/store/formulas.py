"""Tables for spreadsheets, which compute what looks like a formula wherever it comes from."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from trajlab.lazy import pd

# the wide ones are of a keyboard that a spreadsheet in Japanese reads
_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def inert(table: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before each text, in cells and head, that a spreadsheet would compute.

    A carriage return becomes a line feed: pandas does not quote it, and what follows it would be
    the begin of a row.

    Parameters
    ----------
    table
        Any table.
    """
    texts = [str(name) for name in table if table[name].dtype.kind not in "biuf"]
    return table.assign(**{name: table[name].map(_inert) for name in texts}).rename(columns=_inert)


def _inert(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    if text.startswith(_BEGINS):
        with suppress(ValueError):
            float(text)
            return text
        return f"'{text}"
    return text
