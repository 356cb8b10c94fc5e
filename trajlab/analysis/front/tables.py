"""The tables of :func:`trajlab.analysis.front`, from one row a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np

from trajlab.analysis.front.configurations import (
    Configurations,
    configurations,
    distance_row,
    flip_rows,
    spread_row,
    volume_row,
)
from trajlab.analysis.front.pareto import non_dominated
from trajlab.analysis.front.shown import chosen_rows, name_of, training_rows
from trajlab.analysis.interface.tables import Head
from trajlab.analysis.statistics.intervals import mean_interval
from trajlab.errors import TrajlabError
from trajlab.lazy import pd

SCALARIZATION: Mapping[str, str] = MappingProxyType({"method": "scalarization"})
SAME_RUNS = "chosen and measured on the same runs"
_SAME_SPLIT = "chosen on the split that is reported"
_TABLES = (
    *("points", "distance", "hypervolume", "flips", "spread", "optimism"),
    *("training", "chosen"),
)


def fronts(
    rows: pd.DataFrame,
    objectives: Mapping[str, bool],
    *,
    baseline: Mapping[str, str] = SCALARIZATION,
    fresh: Mapping[str, str] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    group_by: Sequence[str] = (),
) -> dict[str, pd.DataFrame]:
    """Return the tables of :func:`front` from rows alone.

    Parameters
    ----------
    rows
        One row a run and `on` (``selection`` or ``report``), with `setting, condition, method`, the
        `group_by` columns and the objectives.
    objectives
        Whether more of each is better.
    baseline, fresh, confidence, seed, group_by
        As in :func:`front`.

    Raises
    ------
    TrajlabError
        If a key is missing, or no method is the baseline.
    """
    for key in (*group_by, *baseline, *(fresh or {})):
        if key not in rows:
            raise TrajlabError(f"there is no key {key!r}; there are {', '.join(map(str, rows))}")
    for name in objectives:
        if name not in rows:
            rows = rows.assign(**{name: np.nan})
    is_new = _selects(rows, fresh) if fresh else pd.Series(False, rows.index)
    selection = rows[(rows["on"] == "selection") & ~is_new]
    report = rows[(rows["on"] == "report") & (is_new if fresh else True)]
    names = list(objectives)
    unselected = bool(selection[names].isna().all(axis=None))
    if unselected:
        selection = rows[(rows["on"] == "report") & ~is_new]
    doubts = [
        sentence for sentence, holds in ((SAME_RUNS, not fresh), (_SAME_SPLIT, unselected)) if holds
    ]
    doubt = "; ".join(doubts)
    keys = ["condition", *group_by]
    made: dict[str, list[dict[str, Any]]] = {name: [] for name in _TABLES}
    for setting, chosen in selection.groupby("setting", sort=False):
        measured = report[report["setting"] == setting]
        sets = {
            str(method): configurations(
                part, measured[measured["method"] == method], objectives, keys
            )
            for method, part in chosen.groupby("method", sort=False)
        }
        base = chosen.loc[_selects(chosen, baseline), "method"].unique()
        if len(base) != 1:
            wanted = ", ".join(f"{key}={value}" for key, value in baseline.items())
            raise TrajlabError(
                f"{len(base) or 'no'} method is the baseline ({wanted}) "
                f"of {str(setting) or 'the runs'}; there are {', '.join(sets)}: name one of them"
            )
        of_setting = _setting(sets, str(setting), str(base[0]), objectives, keys, confidence, seed)
        for name, table in of_setting.items():
            made[name].extend(table)
        made["optimism"].extend(_optimism(rows, str(setting), names, confidence))
        trained = rows[(rows["on"] == "training") & (rows["setting"] == setting) & ~is_new]
        for method, side in sets.items():
            head = _head(str(setting), method, str(base[0]), 0, sum(map(len, side.runs)))
            own = trained[trained["method"] == method]
            made["training"].extend(training_rows(head, own, objectives, keys))
            made["chosen"].extend(chosen_rows(head, side, objectives, keys, confidence))
    for name in ("distance", "hypervolume", "flips"):
        for row in made[name]:
            row["reason"] = "; ".join(filter(None, (row.get("reason", ""), doubt)))
    return {name: pd.DataFrame(table) for name, table in made.items()}


def _setting(
    sets: Mapping[str, Configurations],
    setting: str,
    base: str,
    objectives: Mapping[str, bool],
    keys: Sequence[str],
    confidence: float,
    seed: int,
) -> dict[str, list[dict[str, Any]]]:
    sign = np.where(list(objectives.values()), 1.0, -1.0)
    names = list(objectives)
    counts = {method: sum(map(len, group.runs)) for method, group in sets.items()}
    heads = {
        method: _head(setting, method, base, counts[base], counts[method]).columns
        for method in sets
    }
    points = []
    for method, side in sets.items():
        for name, runs, chosen in zip(side.names, side.runs, side.chosen, strict=True):
            mean = runs.mean(axis=0) if len(runs) else np.full(len(names), np.nan)
            points.append(
                {
                    **heads[method],
                    "n_runs": len(runs),
                    "configuration": name_of(keys, name),
                    "chosen": bool(chosen),
                    "non_dominated": False,
                    **dict(zip(names, mean * sign, strict=True)),
                    "reason": "" if len(runs) else "not measured",
                }
            )
    means = (
        np.array([[row[name] for name in names] for row in points]).reshape(-1, len(names)) * sign
    )
    known = np.isfinite(means).all(axis=1)
    if known.any():
        for i, on_front in zip(np.flatnonzero(known), non_dominated(means[known]), strict=True):
            points[i]["non_dominated"] = bool(on_front)
        low, high = means[known].min(axis=0), means[known].max(axis=0)
        reference = low - np.where(high > low, 0.1 * (high - low), 1.0)
    else:
        reference = np.full(len(names), np.nan)
    pair_rows = [
        {**_head(setting, first, second, counts[second], counts[first]).columns, **row}
        for first, second in combinations(sets, 2)
        for row in flip_rows(sets[first], sets[second], names, confidence, seed)
    ]
    equal = np.full(len(names), 1 / len(names))
    return {
        "points": points,
        "distance": [
            {**heads[method], **distance_row(side, sets[base], confidence, seed)}
            for method, side in sets.items()
            if method != base
        ],
        "hypervolume": [
            {
                **heads[method],
                **volume_row(side, reference),
                "reference": ", ".join(f"{v:.4g}" for v in reference * sign),
            }
            for method, side in sets.items()
        ],
        "flips": _flipped(pair_rows),
        "spread": [
            {**heads[method], **spread_row(side, equal, seed)} for method, side in sets.items()
        ],
    }


def _head(setting: str, method: str, baseline: str, n_baseline: int, n_runs: int) -> Head:
    keys = {"setting": setting, "condition": "", "method": method}
    return Head(
        keys=keys,
        task="",
        baseline=f"method={baseline}",
        n_baseline=n_baseline,
        n_runs=n_runs,
    )


def _flipped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mark the weights at which a pair's order is surely the reverse of that at other weights."""
    ways: dict[tuple[str, str], set[float]] = {}
    for row in rows:
        row["significant"] = bool(row["low"] > 0 or row["high"] < 0)
        if row["significant"]:
            ways.setdefault((row["method"], row["baseline"]), set()).add(np.sign(row["low"]))
    for row in rows:
        several = len(ways.get((row["method"], row["baseline"]), ())) > 1
        row["flips"] = row["significant"] and several
    return rows


def _optimism(
    rows: pd.DataFrame,
    setting: str,
    names: Sequence[str],
    confidence: float,
) -> list[dict[str, Any]]:
    reported = rows[(rows["setting"] == setting) & (rows["on"] == "report")]
    made = []
    for method, part in reported.groupby("method", sort=False):
        for name in names:
            if f"optimism {name}" not in part:
                continue
            values = part[f"optimism {name}"].dropna().to_numpy(float)
            mean = mean_interval(values, confidence)
            keys = {"setting": setting, "condition": "", "method": str(method)}
            made.append(
                Head(keys=keys, task=name, n_runs=len(values)).row(
                    "" if len(values) > 1 else "fewer than two runs with validation",
                    optimism=float(mean.estimate),
                    low=float(mean.low),
                    high=float(mean.high),
                )
            )
    return made


def _selects(rows: pd.DataFrame, wanted: Mapping[str, str]) -> pd.Series:
    """Return which rows have the values."""
    chosen = pd.Series(True, rows.index)
    for key, value in wanted.items():
        chosen &= rows[key].astype(str) == str(value)
    return chosen
