"""The tables of a result as JSON and as CSV."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from trajlab.lazy import pd


def to_json(tables: Mapping[str, pd.DataFrame]) -> str:
    """Write tables as ``{"table": [row, …]}``.

    Parameters
    ----------
    tables
        Tables by their names.

    Returns
    -------
    str
        JSON, in which what is missing or not finite is ``null``.
    """
    return json.dumps({name: rows(table) for name, table in tables.items()}, indent=1)


def to_csv(tables: Mapping[str, pd.DataFrame]) -> bytes:
    """Write one table as CSV: ``summary`` where there is one, else the first.

    Parameters
    ----------
    tables
        Tables by their names.

    Returns
    -------
    bytes
        UTF-8, without an index column; missing values are empty.
    """
    return main_table(tables).to_csv(index=False).encode()


def main_table(tables: Mapping[str, pd.DataFrame], shown: str = "summary") -> pd.DataFrame:
    """Pick the table that stands for a result: the one to be shown, else the first."""
    return tables[shown] if shown in tables else next(iter(tables.values()))


def brief(table: pd.DataFrame, details: Collection[str]) -> pd.DataFrame:
    """Leave out what a reader is spared: details, and counts of what never happened.

    Parameters
    ----------
    table
        A table of a result.
    details
        Columns to leave out.
    """
    counts = [name for name in map(str, table) if name.startswith("n_")]
    spared = [name for name in counts if (table[name] == 0).all()]
    return table.drop(columns=[*spared, *(name for name in details if name in table)])


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """List a table's rows in plain Python types, ``None`` for what is missing or not finite."""
    finite = table.replace([np.inf, -np.inf], np.nan).astype(object)
    present = finite.where(finite.notna(), None)
    return [dict(zip(map(str, present), row, strict=True)) for row in present.to_numpy().tolist()]
