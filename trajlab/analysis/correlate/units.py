"""Units: rows of a table averaged over what was not varied independently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.lazy import pd

NAMES = ["setting", "condition", "method", "task"]
PLACE = ["setting", "task", "metric", "group"]  # what is never pooled
VALUES = ("x_value", "y_value", "given_value")


def average(
    rows: pd.DataFrame,
    x: str,
    y: str,
    units: Sequence[str] = (),
    *,
    within: str | None = None,
    given: str | None = None,
    axes: Sequence[str] = (),
    metric: str | None = None,
) -> pd.DataFrame:
    """Average columns over the rows of each unit, within a setting, task, metric and group.

    Parameters
    ----------
    rows
        With columns `x`, `y`, `units`, and where they matter `setting, condition, method, task`.
        A setting or task that is a unit itself is pooled.
    x, y
        Numeric columns.
    units
        Columns that name a unit together; each row is one if there are none.
    within
        Column of the group.
    given
        Column that will be held fixed: numeric, or text that is the same in all rows of a unit.
    axes
        Columns of hyper-parameters, the same in all rows of a unit.
    metric
        Column that names the metric, where one of the values is of a metric.

    Returns
    -------
    DataFrame
        `setting, condition, method, task, metric, group, unit, x_value, y_value`, `given_value`,
        the `axes` where there are any, `n_runs`, and `n_excluded`, the rows of a unit that are left
        out because a value is missing or infinite.

    Raises
    ------
    TrajlabError
        If a column is missing or not numeric, or an axis or text varies within a unit.
    """
    for column in filter(None, (x, y, *units, within, given, *axes)):
        if column not in rows:
            known = ", ".join(map(str, rows))
            raise TrajlabError(f"there is no column {column!r} to correlate; there are {known}")
    frame = pd.DataFrame({key: rows.get(key, "") for key in NAMES}, rows.index)
    frame["metric"] = rows[metric] if metric else ""
    frame["group"] = rows[within].astype(str) if within else ""
    labels = rows[list(units)] if units else pd.DataFrame({"row": rows.index}, rows.index)
    parts = labels.astype(str).itertuples(index=False)
    frame["unit"] = [", ".join(filter(None, names)) for names in parts]
    frame[[key for key in ("setting", "task") if key in units]] = ""  # what names units is pooled
    values = {"x_value": x, "y_value": y}
    text = given is not None and not pd.api.types.is_numeric_dtype(rows[given])
    if given and not text:
        values["given_value"] = given
    for name, column in values.items():
        frame[name] = _numeric(rows[column])
    finite = np.isfinite(frame[list(values)]).all(axis=1)
    frame["n_runs"] = finite.astype(int)
    frame["n_excluded"] = 1 - frame["n_runs"]
    frame.loc[~finite, list(values)] = np.nan
    held = {axis: f"axis {axis}" for axis in axes}
    if given and text:
        held[given] = "given_value"
    for axis, name in held.items():
        frame[name] = rows[axis]
    grouped = frame.groupby([*PLACE, "unit"], sort=False, as_index=False)
    for axis, name in held.items():
        points = frame[[*PLACE, "unit", name]].drop_duplicates()
        if points.duplicated([*PLACE, "unit"]).any():
            raise TrajlabError(f"{axis!r} varies within a unit; name a finer unit")
    merged: dict[str, Any] = {
        **dict.fromkeys(("condition", "method"), common),
        **dict.fromkeys(values, "mean"),
        **dict.fromkeys(held.values(), "first"),
        **dict.fromkeys(("n_runs", "n_excluded"), "sum"),
    }
    counts = ["n_runs", "n_excluded"]
    return grouped.agg(merged)[
        [*NAMES, "metric", "group", "unit", *values, *held.values(), *counts]
    ]


def common(values: pd.Series) -> str:
    """Return the one value there is, or nothing.

    Parameters
    ----------
    values
        At least one.
    """
    first = values.iloc[0]
    return str(first) if (values == first).all() else ""


def _numeric(values: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    wrong = values[numbers.isna() & values.notna()]
    if len(wrong):
        raise TrajlabError(
            f"column {values.name!r} is not numeric: {wrong.iloc[0]!r} in row {wrong.index[0]}; "
            "correct it or name another column"
        )
    return numbers
