"""A table of numbers as a person wants to see it: few columns, few digits, not too many rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_float_dtype, is_numeric_dtype

MISSING = "–"


@dataclass(frozen=True)
class Readable:
    """A table ready to be set in a terminal or a page.

    Parameters
    ----------
    common
        What is the same in all rows, said once.
    cells
        The other columns as text; ``x``, ``x_low`` and ``x_high`` have become one column.
    numeric
        Names of the columns to be aligned to the right.
    total
        Rows of the whole table, of which ``cells`` has evenly spaced ones.
    """

    common: Mapping[str, str]
    cells: pd.DataFrame
    numeric: frozenset[str]
    total: int


def readable(table: pd.DataFrame, *, most: int = 20) -> Readable:
    """Make a table readable; columns without a value are left out.

    Parameters
    ----------
    table
        Any tidy table.
    most
        Rows to show at most.

    Returns
    -------
    Readable
        Text only.
    """
    filled = table.replace("", None).dropna(axis="columns", how="all")
    # On all rows, because a column may vary only between two of those shown.
    common = {n: text(filled[n].iloc[0]) for n in map(str, filled) if _is_common(filled[n])}
    rows = np.linspace(0, len(table) - 1, min(most, len(table))).round().astype(int)
    cells, numeric = _merged(filled.drop(columns=list(common)).iloc[rows])
    return Readable(common, cells, numeric, len(table))


def text(value: Any) -> str:
    """Write one value with the digits that a reader needs."""
    match value:
        case Mapping():
            return ", ".join(f"{key} {text(part)}" for key, part in value.items())
        case str():
            return value
        case Iterable():
            return ", ".join(text(part) for part in value)
        case bool() | np.bool_():
            return "yes" if value else "no"
        case Integral():
            return str(value)
        case Real() if np.isfinite(number := float(value)):
            whole = abs(number) >= 1000 or number.is_integer()
            return f"{number:.0f}" if whole and abs(number) < 1e9 else f"{number:.3g}"
        case _ if pd.isna(value):
            return MISSING
        case _:
            return str(value)


def _merged(table: pd.DataFrame) -> tuple[pd.DataFrame, frozenset[str]]:
    """Join every estimate with its bounds, ``1.2 [0.8, 1.6]``; bare bounds are an interval."""
    written = table.map(text)
    bounds = {
        low[:-4] or "interval": (low, high)
        for low in map(str, table)
        if low.endswith("low") and (high := low[:-3] + "high") in table
    }
    owner = {bound: label for label, pair in bounds.items() for bound in pair}
    cells: dict[str, list[str]] = {}
    numeric = set()
    for name in map(str, table):
        label = owner.get(name, name)
        if label in cells:
            continue
        parts = [written[label]] if label in table else []
        if label in bounds:
            lows, highs = (written[bound] for bound in bounds[label])
            parts.append("[" + lows + ", " + highs + "]")
        cells[label] = [" ".join(row) for row in zip(*parts, strict=True)]
        if label in bounds or _is_number(table[label]):
            numeric.add(label)
    return pd.DataFrame(cells, dtype=str), frozenset(numeric)


def _is_number(column: pd.Series) -> bool:
    kind = column.infer_objects().dtype
    return is_numeric_dtype(kind) and not is_bool_dtype(kind)


def _is_common(column: pd.Series) -> bool:
    """Whether a name or a count is the same in all of several rows; a result is never hidden."""
    kind = column.infer_objects().dtype
    says = not (is_float_dtype(kind) or is_bool_dtype(kind))
    return says and len(column) > 1 and len(set(column.map(text))) == 1
