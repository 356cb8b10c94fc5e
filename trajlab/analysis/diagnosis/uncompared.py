"""What can be said of runs that nothing compares: what they reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from trajlab.analysis.interface.options import ScoreOptions
from trajlab.analysis.interface.tables import Head
from trajlab.analysis.runs.groups import Group
from trajlab.analysis.summary import summarise_runs
from trajlab.lazy import pd


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
    rows = (
        _row(
            Head(keys=group.keys, task=task, n_runs=len(part)), metric, part, reason, options.split
        )
        for group in groups
        for task in group.tasks
        for metric, part in _by_metric(summaries, group, task)
    )
    return pd.DataFrame(rows)


def _by_metric(
    summaries: pd.DataFrame, group: Group, task: str
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of a group's runs for each metric of the task; none, where no run is whole."""
    paths = [str(run.path) for run in group.with_task(task)]
    rows = summaries[summaries["run"].isin(paths) & (summaries["task"] == task)]
    if rows.empty:
        yield "", rows
    for metric, part in rows.groupby("metric", sort=False):
        yield str(metric), part


def _row(head: Head, metric: str, rows: pd.DataFrame, reason: str, split: str) -> dict[str, Any]:
    values = rows[["final_metric", "min_train_loss"]].mean()
    reached = ""
    if np.isfinite(values["final_metric"]):
        loss = values["min_train_loss"]
        fell = f", lowest training loss {loss:.2g}" if np.isfinite(loss) else ""
        reached = (
            f" Reached: {split} {metric} {values['final_metric']:.4g}{fell} (n = {len(rows)})."
        )
    numbers = {name: value for name, value in values.items() if np.isfinite(value)}
    return head.row(
        reason,
        metric=metric,
        sentence=f"Not compared: {reason}.{reached}",
        numbers=", ".join(f"{name} = {value:.6g}" for name, value in numbers.items()),
    )
