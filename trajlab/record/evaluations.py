"""Evaluations of the tasks on a split of the data."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.store import Column, Table, standard


def evaluation_table(
    split: str, tasks: Sequence[str], metrics: Collection[str], lower_is_better: Collection[str]
) -> Table:
    """Declare the evaluations of one split.

    Parameters
    ----------
    split : str
        ``train``, ``validation`` or ``test``.
    tasks : sequence of str
        All declared tasks.
    metrics : collection of str
        Names of the metrics beside ``loss``.
    lower_is_better : collection of str
        Those metrics of which less is better; ``loss`` always is.

    Returns
    -------
    Table
        One column (step, task) a metric, with the attribute ``higher_is_better``.

    Raises
    ------
    TrajlabError
        If the split or the name of a metric is not allowed.
    """
    if split not in ("train", "validation", "test"):
        raise TrajlabError(f"{split!r} is no split; evaluate on train, validation or test")
    table = standard(f"evaluations/{split}", task=tasks)
    columns = [
        Column(name, ("step", "task"), attributes={"higher_is_better": name not in lower_is_better})
        for name in metrics
        if name != "loss"
    ]
    return replace(table, columns=(*table.columns, *columns))


def evaluation_row(
    values: Mapping[str, Mapping[str, float | Tensor]], tasks: Sequence[str]
) -> dict[str, list[float]]:
    """Arrange the values of one evaluation by metric.

    Parameters
    ----------
    values : mapping
        ``{task: {metric: value}}``; what a task lacks is NaN.
    tasks : sequence of str
        All declared tasks.

    Returns
    -------
    dict of str to list of float
        One value a task for each metric.

    Raises
    ------
    TrajlabError
        If a task is not declared or a value is not one number.
    """
    for task in values:
        if task not in tasks:
            raise TrajlabError(
                f"task {task!r} is evaluated but not declared; declare it in tasks=, beside "
                f"{', '.join(tasks)}"
            )
    metrics = dict.fromkeys(name for metrics in values.values() for name in metrics)
    return {
        metric: [
            _number(values.get(task, {}).get(metric, float("nan")), metric, task) for task in tasks
        ]
        for metric in metrics
    }


def _number(value: Any, metric: str, task: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TrajlabError(
            f"{metric} of task {task!r} is {value!r}; give one number a task and metric"
        ) from None
