"""A table that a user gives in place of runs."""

from __future__ import annotations

from trajlab.errors import TrajlabError
from trajlab.lazy import pd


def read_table(table: str | pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return a table whose rows are numbered from 1, and what to call it.

    Parameters
    ----------
    table
        A CSV file with a header, or the table itself.

    Raises
    ------
    TrajlabError
        If it cannot be read, or holds no rows.
    """
    if isinstance(table, pd.DataFrame):
        rows, name = table.copy(), f"a DataFrame of {len(table)} rows"
    else:
        name = str(table)
        try:
            rows = pd.read_csv(name, keep_default_na=True)
        except (OSError, ValueError) as error:
            raise TrajlabError(f"{name} cannot be read as a CSV table: {error}") from error
    if rows.empty:
        raise TrajlabError(f"{name} holds no rows; give a table with a header and rows")
    rows.index = pd.RangeIndex(1, len(rows) + 1)
    return rows, name
