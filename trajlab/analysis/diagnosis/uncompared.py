"""What can be said of runs that nothing compares: what they reached."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from trajlab.analysis.options import ScoreOptions
from trajlab.analysis.runs.groups import Group
from trajlab.analysis.summary import summarise_runs
from trajlab.analysis.tables import Head


def describe(groups: Sequence[Group], reason: str, options: ScoreOptions) -> pd.DataFrame:
    """Return rows of the verdict on runs that nothing compares.

    Parameters
    ----------
    groups
        Groups of the runs.
    reason
        Why they are not compared.
    options
        The metric, and the splits it is read on.
    """
    splits = options.split, options.selection_split
    summaries = summarise_runs(groups, options.metric, *splits)
    rows = (_row(group, task, summaries, reason, options.split) for group, task in _tasks(groups))
    return pd.DataFrame(rows)


def _tasks(groups: Sequence[Group]) -> Iterator[tuple[Group, str]]:
    return ((group, task) for group in groups for task in group.tasks)


def _row(
    group: Group, task: str, summaries: pd.DataFrame, reason: str, split: str
) -> dict[str, Any]:
    paths = [str(run.path) for run in group.with_task(task)]
    rows = summaries[summaries["run"].isin(paths) & (summaries["task"] == task)]
    metric = rows["metric"].iloc[0] if len(rows) else ""
    values = rows[["final_metric", "min_train_loss"]].mean()
    reached = ""
    if np.isfinite(values).all():
        reached = (
            f" Reached: {split} {metric} {values['final_metric']:.4g}, "
            f"lowest training loss {values['min_train_loss']:.2g} (n = {len(rows)})."
        )
    numbers = {name: value for name, value in values.items() if np.isfinite(value)}
    return Head(keys=group.keys, task=task, n_runs=len(rows)).row(
        reason,
        metric=metric,
        sentence=f"Not compared: {reason}.{reached}",
        numbers=", ".join(f"{name} = {value:.6g}" for name, value in numbers.items()),
    )
