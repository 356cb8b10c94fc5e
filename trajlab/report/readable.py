"""A table of numbers as a person wants to see it: few columns, few digits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np

from trajlab.lazy import pd

MISSING = "–"


@dataclass(frozen=True)
class Readable:
    """A table ready to be set in a terminal or a page.

    Attributes
    ----------
    common
        What is the same in all rows, said once.
    cells
        The other columns as text; ``x``, ``x_low`` and ``x_high`` have become one column.
    numeric
        Names of the columns to be aligned to the right.
    """

    common: Mapping[str, str]
    cells: pd.DataFrame
    numeric: frozenset[str]


def readable(table: pd.DataFrame) -> Readable:
    """Make a table readable.

    Parameters
    ----------
    table
        Any tidy table.

    Returns
    -------
    Readable
        Columns without a value are left out. An estimate and its bounds are one column,
        ``1.2 [0.8, 1.6]``: ``x`` with ``x_low`` and ``x_high``, and a bare ``low`` and ``high``
        with the column before them. Bounds without an estimate of their name are an interval.
    """
    filled = table.replace("", None).dropna(axis="columns", how="all")
    names = list(map(str, filled))
    written = filled.map(text)
    before = next((x for x, y in pairwise(names) if y == "low" and not x.endswith("high")), "")
    bounds = {
        low[:-4] or before or "interval": (low, high)
        for low in names
        if low.endswith("low") and (high := low[:-3] + "high") in names
    }
    owner = {bound: label for label, pair in bounds.items() for bound in pair}
    common, cells, numeric = {}, {}, set()
    for name in names:
        label = owner.get(name, name)
        if label in bounds:
            if label not in cells:
                cells[label] = _estimate(written, label, *bounds[label])
                numeric.add(label)
        elif len(table) > 1 and len(set(written[name])) == 1:
            common[name] = written[name].iloc[0]
        else:
            cells[name] = list(written[name])
            if _is_number(filled[name]):
                numeric.add(name)
    return Readable(common, pd.DataFrame(cells, dtype=str), frozenset(numeric))


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
            whole = number.is_integer() or abs(number) >= 999.5  # 1000, not 1e+03
            return f"{number:.0f}" if whole and abs(number) < 1e9 else f"{number:.3g}"
        case _:
            return MISSING if pd.isna(value) else str(value)


def _estimate(written: pd.DataFrame, label: str, low: str, high: str) -> list[str]:
    intervals = [
        f"[{low}, {high}]" if {low, high} != {MISSING} else ""
        for low, high in zip(written[low], written[high], strict=True)
    ]
    if label not in written:
        return [interval or MISSING for interval in intervals]
    return [" ".join(filter(None, x)) for x in zip(written[label], intervals, strict=True)]


def _is_number(column: pd.Series) -> bool:
    kind = column.infer_objects().dtype
    return pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
