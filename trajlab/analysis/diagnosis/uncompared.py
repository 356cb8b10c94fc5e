"""Which analyses apply to given runs, and what can be said of runs that nothing compares."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from trajlab.analysis.runs.evaluations import evaluated
from trajlab.analysis.runs.groups import Group
from trajlab.analysis.runs.quantities import quantities
from trajlab.analysis.summary import FACTORS, summarise_runs
from trajlab.store import Trajectory

SCALARIZATIONS = ("scalarization", "uniform")  # whose front others are held against, if there
_FEWEST_WAYS = 3  # points of a correlation
_ALONE = "the runs are one group, so there is nothing to compare them with"


def missing(groups: Sequence[Group], runs: Sequence[Trajectory], split: str) -> dict[str, str]:
    """Say which analyses do not apply, and why.

    Parameters
    ----------
    groups, runs
        The runs, in groups; and those that are complete.
    split
        The split that metrics are read on.
    """
    several = [item for item in groups if len(item.tasks) > 1 and item.runs]
    measured = [item for item in several if any("gradients" in run.tables for run in item.runs)]
    scored = any(evaluated(run, split) for run in runs)
    recorded = set(quantities(runs))
    unscored = f"no run was evaluated on the training set and on the {split} split"
    no_pairs = "no run recorded the gradients of two or more tasks"
    alone = _ALONE if len(groups) < 2 else ""
    told = {
        "gap": alone or ("" if scored else unscored),
        "conflict": "" if measured else no_pairs,
        "factors": alone
        or ("" if recorded & {name for name, _ in FACTORS.values()} else _no_factor()),
        "front": "" if front_baseline(groups) else _no_front(),
        "correlate": ""
        if len(measured) >= _FEWEST_WAYS and scored
        else f"fewer than {_FEWEST_WAYS} ways of training several tasks have gradients and metrics",
        "geometry": ""
        if any({"sketches", "parameters"} & set(run.tables) for run in runs)
        else "no run recorded sketches of its weights",
    }
    return {name: reason for name, reason in told.items() if reason}


def front_baseline(groups: Sequence[Group]) -> Mapping[str, str]:
    """Return the method whose front others are held against; empty if there is nothing to hold.

    Parameters
    ----------
    groups
        Of the runs. Two methods have to train several tasks, and one of them a weighted sum.
    """
    methods = {item.keys["method"] for item in groups if len(item.tasks) > 1 and item.runs}
    found = [name for name in SCALARIZATIONS if name in methods]
    return {"method": found[0]} if found and len(methods) > 1 else {}


def _no_front() -> str:
    return f"no two methods train several tasks, one of them {' or '.join(SCALARIZATIONS)}"


def _no_factor() -> str:
    return f"no run recorded {', '.join(name for name, _ in FACTORS.values())}"


def describe(
    groups: Sequence[Group],
    reason: str,
    metric: str | None,
    split: str,
    selection_split: str,
) -> pd.DataFrame:
    """Return rows of the verdict on runs that nothing compares: what they reached.

    Parameters
    ----------
    groups
        Of the runs.
    reason
        Why they are not compared.
    metric, split, selection_split
        As in :func:`trajlab.analysis.factors`.
    """
    summaries = summarise_runs(groups, metric, split, selection_split)
    rows: list[dict[str, Any]] = []
    for item in groups:
        for task in item.tasks:
            paths = [str(run.path) for run in item.with_task(task)]
            own = summaries[summaries["run"].isin(paths) & (summaries["task"] == task)]
            values = own[["final_metric", "min_train_loss"]].mean()
            reached = ""
            if np.isfinite(values).all():
                reached = (
                    f" Reached: {split} {own['metric'].iloc[0]} {values['final_metric']:.4g}, "
                    f"lowest training loss {values['min_train_loss']:.2g} (n = {len(own)})."
                )
            numbers = {name: value for name, value in values.items() if np.isfinite(value)}
            rows.append(
                {
                    **item.keys,
                    "task": task,
                    "baseline": "",
                    "n_baseline": 0,
                    "n_runs": len(own),
                    "metric": own["metric"].iloc[0] if len(own) else "",
                    "sentence": f"Not compared: {reason}.{reached}",
                    "numbers": ", ".join(f"{name} = {v:.6g}" for name, v in numbers.items()),
                    "reason": reason,
                }
            )
    return pd.DataFrame(rows)
