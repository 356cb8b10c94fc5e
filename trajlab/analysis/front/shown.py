"""What a figure of fronts shows beside them: training fronts, and each chosen point's noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trajlab.analysis.front.configurations import Configurations, configurations
from trajlab.analysis.front.pareto import non_dominated
from trajlab.analysis.interface.tables import Head
from trajlab.analysis.statistics.intervals import mean_interval
from trajlab.lazy import pd


def name_of(keys: Sequence[str], values: Sequence[str]) -> str:
    """Return a configuration's name, ``lr=0.1, weights=…``."""
    return ", ".join(f"{key}={value}" for key, value in zip(keys, values, strict=True) if value)


def chosen_rows(
    head: Head,
    side: Configurations,
    objectives: Mapping[str, bool],
    keys: Sequence[str],
    level: float,
) -> list[dict[str, Any]]:
    """Return a row a chosen configuration and objective: the mean over its runs with a t interval.

    Parameters
    ----------
    head
        Head of the method's rows.
    side
        Its configurations.
    objectives
        Whether more of each is better.
    keys
        Columns that name a configuration.
    level
        Coverage of the interval.
    """
    rows = []
    for name, runs, taken in zip(side.names, side.runs, side.chosen, strict=True):
        for number, (objective, more) in enumerate(objectives.items()) if taken else ():
            mean = mean_interval(runs[:, number] * (1 if more else -1), level)
            rows.append(
                {
                    **head.columns,
                    "configuration": name_of(keys, name),
                    "objective": objective,
                    "mean": float(mean.estimate),
                    "low": float(mean.low),
                    "high": float(mean.high),
                    "n_runs": len(runs),
                    "reason": "" if len(runs) > 1 else "one run: no interval",
                }
            )
    return rows


def training_rows(
    head: Head, rows: pd.DataFrame, objectives: Mapping[str, bool], keys: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a row a configuration: its mean on the training set at the end of training.

    Parameters
    ----------
    rows
        One row a run of the method.
    head, objectives, keys
        As in :func:`chosen_rows`.
    """
    side = configurations(rows, rows, objectives, keys)
    if not side.names:
        return []
    sign = np.where(list(objectives.values()), 1.0, -1.0)
    return [
        {
            **head.columns,
            "n_runs": len(runs),
            "configuration": name_of(keys, name),
            "on_front": bool(taken),
            **dict(zip(objectives, mean * sign, strict=True)),
        }
        for name, runs, mean, taken in zip(
            side.names, side.runs, side.validation, non_dominated(side.validation), strict=True
        )
    ]
