"""The tables of a result as JSON and as CSV."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from trajlab.lazy import pd
from trajlab.store.formulas import inert


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
    """Write one of the tables as CSV: ``summary`` where there is one, else the first.

    Returns
    -------
    bytes
        UTF-8, without an index column; missing values are empty; a text that a spreadsheet would
        take for a formula gets an apostrophe.
    """
    return inert(main_table(tables)).to_csv(index=False).encode()


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


def measured(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Take out the rows without any number, and count them by their reason.

    Parameters
    ----------
    table
        A table of a result.

    Returns
    -------
    table, reasons
        The rows with a number; and how many others there are, by reason.
    """
    numbers = table.select_dtypes("float")
    if "reason" not in table or numbers.empty:
        return table, {}
    empty = numbers.isna().all(axis="columns") & (table["reason"] != "")
    reasons = table.loc[empty, "reason"].value_counts(sort=False)
    return table[~empty], {str(reason): int(number) for reason, number in reasons.items()}


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """List a table's rows in plain Python types, ``None`` for what is missing or not finite."""
    finite = table.replace([np.inf, -np.inf], np.nan).astype(object)
    present = finite.where(finite.notna(), None)
    return [dict(zip(map(str, present), row, strict=True)) for row in present.to_numpy().tolist()]
