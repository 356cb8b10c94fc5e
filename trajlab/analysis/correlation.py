"""Correlation of run summaries, or of the columns of a table, over independent units."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from trajlab.analysis.association import RESAMPLES, STATISTICS, associate
from trajlab.analysis.groups import GROUP_KEYS, group
from trajlab.analysis.multiplicity import holm
from trajlab.analysis.options import check_confidence
from trajlab.analysis.result import Result
from trajlab.analysis.run_summary import summarise_runs
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory

_NAMES = ["setting", "condition", "method", "task"]
_DEPENDENT = {"epoch", "run", "seed", "step"}  # columns of rows that share a run or configuration
_PLACE = ["setting", "task"]  # what is never pooled


@dataclass(frozen=True, kw_only=True)
class Correlation(Result):
    """What :func:`correlate` returns.

    Attributes
    ----------
    correlations
        One row a setting, task and statistic.
    points
        One row a unit: what the correlations were computed from.
    """

    correlations: pd.DataFrame
    points: pd.DataFrame


def correlate(
    runs: Iterable[Trajectory] | None = None,
    *,
    x: str,
    y: str,
    table: str | None = None,
    unit: str | None = None,
    metric: str | None = None,
    split: str = "test",
    selection_split: str = "validation",
    confidence: float = 0.95,
    seed: int = 0,
    group_by: Sequence[str] = (),
) -> Correlation:
    """Pearson and Spearman correlation over units, with permutation tests.

    A unit is what was varied independently. Values are averaged over the runs of a unit first,
    because seeds of one configuration taken as independent give false positives: .06 to .24 at a
    nominal .05 for 10 configurations of 3 seeds. Tasks and settings are not pooled: each gives a
    row, whose p-values are adjusted by Holm's method over the rows of a statistic.

    Parameters
    ----------
    runs
        Recorded runs; or give `table`.
    x, y
        Columns: of the run summary (`final_metric, min_train_loss, sharpness,
        gradient_covariance, fisher, hessian_top, similarity, mean_cosine, share_conflicting`,
        or numeric metadata), or of `table`.
    table
        A CSV file with a header, instead of runs; columns `setting` and `task` have their meaning.
    unit
        The column that names units. If not given: the group of a run, or the run itself where
        there is one group only; each row of `table`.
    metric
        The metric that `final_metric` is; the first one recorded on `split` if not given.
    split
        The split that the metric is read on.
    selection_split
        The split that the ten best evaluations are chosen on; without it, the last 10 % stand for
        them.
    confidence
        Coverage of the intervals (Fisher's z); its complement is the level of the tests.
    seed
        Of the permutations.
    group_by
        Metadata keys that tell groups of runs apart, next to setting, condition and method.

    Returns
    -------
    Correlation
        Tables `correlations` and `points`.

    Raises
    ------
    TrajlabError
        If there are both or neither of runs and table, a column is missing or not numeric, or the
        table cannot be read.
    """
    check_confidence(confidence)
    if (runs is None) == (table is None):
        raise TrajlabError("give either runs or a table to correlate")
    if runs is not None:
        keys = (*group_by, unit) if unit and unit not in (*GROUP_KEYS, *group_by) else group_by
        rows = summarise_runs(group(runs, keys), metric, split, selection_split)
        units = [unit] if unit else ["condition", "method", *group_by]
        if unit is None and len(rows[["setting", *units]].drop_duplicates()) == 1:
            units = ["run"]
    else:
        rows, units = _read(str(table)), [unit] if unit else []
    points = average(rows, x, y, units)
    settings = {
        "x": x,
        "y": y,
        "table": table,
        "unit": ", ".join(units) or "row",
        "metric": metric,
        "split": split,
        "selection_split": selection_split,
        "interval": "Fisher z",
        "test": f"permutation over units: all pairings up to {RESAMPLES}, else so many drawn",
        "adjustment": "Holm",
        "confidence": confidence,
        "seed": seed,
        "group_by": list(group_by),
    }
    correlations = correlate_points(points, x, y, confidence, seed)
    if not units and not _DEPENDENT.isdisjoint(rows):
        doubt = "each row is taken as independent: name the unit if rows are checkpoints or seeds"
        correlations["reason"] = [f"{r}; {doubt}" if r else doubt for r in correlations["reason"]]
    return Correlation(settings=settings, correlations=correlations, points=points)


def average(rows: pd.DataFrame, x: str, y: str, units: Sequence[str] = ()) -> pd.DataFrame:
    """Average two columns over the rows of each unit, within a setting and task.

    Parameters
    ----------
    rows
        With columns `x`, `y`, `units`, and where they matter `setting, condition, method, task`.
        A setting or task that is a unit itself is pooled.
    x, y
        Numeric columns.
    units
        Columns that name a unit together; each row is one if there are none.

    Returns
    -------
    DataFrame
        `setting, condition, method, task, unit, x_value, y_value, n_runs`, and `n_excluded`, the
        rows of a unit that were left out because a value is missing or infinite.

    Raises
    ------
    TrajlabError
        If a column is missing or not numeric.
    """
    for column in (x, y, *units):
        if column not in rows:
            known = ", ".join(map(str, rows))
            raise TrajlabError(f"there is no column {column!r} to correlate; there are {known}")
    frame = pd.DataFrame({key: rows.get(key, "") for key in _NAMES}, rows.index)
    labels = rows[list(units)] if units else pd.DataFrame({"row": rows.index}, rows.index)
    parts = labels.astype(str).itertuples(index=False)
    frame["unit"] = [", ".join(filter(None, names)) for names in parts]
    frame[[key for key in _PLACE if key in units]] = ""  # what names units is pooled
    for name, column in (("x_value", x), ("y_value", y)):
        frame[name] = _numeric(rows[column])
    finite = np.isfinite(frame[["x_value", "y_value"]]).all(axis=1)
    frame["n_runs"] = finite.astype(int)
    frame["n_excluded"] = 1 - frame["n_runs"]
    frame.loc[~finite, ["x_value", "y_value"]] = np.nan
    merged: dict[str, Any] = {
        **dict.fromkeys(("condition", "method"), _common),
        **dict.fromkeys(("x_value", "y_value"), "mean"),
        **dict.fromkeys(("n_runs", "n_excluded"), "sum"),
    }
    grouped = frame.groupby([*_PLACE, "unit"], sort=False, as_index=False).agg(merged)
    return grouped[[*_NAMES, "unit", "x_value", "y_value", "n_runs", "n_excluded"]]


def correlate_points(
    points: pd.DataFrame, x: str, y: str, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Correlate the points of :func:`average`, one row a setting, task and statistic.

    Parameters
    ----------
    points
        One row a unit.
    x, y
        Names of the two columns, written into the rows.
    confidence, seed
        As in :func:`correlate`.
    """
    rows = []
    for (setting, task), part in points.groupby(_PLACE, sort=False):
        known = part.dropna(subset=["x_value", "y_value"])
        for statistic in STATISTICS:
            values = known["x_value"].to_numpy(float), known["y_value"].to_numpy(float)
            found = asdict(associate(*values, statistic, confidence, seed))
            rows.append(
                {
                    "setting": setting,
                    "condition": _common(part["condition"]),
                    "method": _common(part["method"]),
                    "task": task,
                    "baseline": "",
                    "n_baseline": 0,
                    "n_runs": int(part["n_runs"].sum()),
                    "x": x,
                    "y": y,
                    "group": "",
                    "statistic": statistic,
                    "given": "",
                    **{name: found[name] for name in ("estimate", "low", "high", "p_value")},
                    "p_adjusted": np.nan,
                    **{name: found[name] for name in ("n", "smallest_detectable", "smallest_p")},
                    "n_excluded": int(part["n_excluded"].sum()),
                    "reason": found["reason"],
                }
            )
    frame = pd.DataFrame(rows)
    for _, part in frame.groupby("statistic"):
        frame.loc[part.index, "p_adjusted"] = holm(part["p_value"])
    return frame


def _common(values: pd.Series) -> str:
    """Return the one value there is, or nothing."""
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


def _read(file: str) -> pd.DataFrame:
    try:
        rows = pd.read_csv(file, keep_default_na=True)
    except (OSError, ValueError) as error:
        raise TrajlabError(f"{file} cannot be read as a CSV table: {error}") from error
    if rows.empty:
        raise TrajlabError(f"{file} holds no rows; give a CSV table with a header and rows")
    rows.index = pd.RangeIndex(1, len(rows) + 1)
    return rows
