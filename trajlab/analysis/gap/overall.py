"""The mean over tasks: a mixed model of tasks and runs, and the literature's Δm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from trajlab.analysis.gap.compared import Compared
from trajlab.analysis.gap.options import GapOptions
from trajlab.analysis.interface.sentence import FEWEST_RUNS, Sentence
from trajlab.analysis.interface.tables import records
from trajlab.analysis.interface.words import term
from trajlab.analysis.runs.evaluations import WINDOWS
from trajlab.analysis.runs.windows import Windows
from trajlab.analysis.statistics.mixed import FEWEST_TASKS, mean_over_tasks
from trajlab.analysis.statistics.relative import mean_relative_change
from trajlab.analysis.statistics.task_scores import TaskScores
from trajlab.lazy import pd


def overall_frame(compared: Sequence[Compared], options: GapOptions) -> pd.DataFrame:
    """Return one row a task of each group of three or more tasks, with the group's numbers.

    Parameters
    ----------
    compared
        Comparisons whose sides both have runs.
    options
        Options of the gap.

    Returns
    -------
    DataFrame
        `metric`, the `shrunken` estimate of the task's Δ, the `mean_effect` over tasks with its
        interval, `between_sd`, and `delta_m` in percent with its interval.
    """
    groups: dict[tuple[Any, ...], list[Compared]] = {}
    for each in compared:
        key = (*each.head.keys.values(), each.head.baseline, each.metric)
        groups.setdefault(key, []).append(each)
    several = [tasks for tasks in groups.values() if len(tasks) >= FEWEST_TASKS]
    return pd.DataFrame(row for tasks in several for row in _rows(tasks, options))


def _rows(tasks: Sequence[Compared], options: GapOptions) -> Iterator[dict[str, Any]]:
    rows: list[tuple[float, str, bool, str]] = []
    for each in tasks:
        windows = Windows.of(each.runs.runs, each.baseline.runs, WINDOWS[options.window])
        for side, told in ((each.runs, ""), (each.baseline, " of the baseline")):
            values = (float(windows.scores(run)[0]) for run in side.runs)
            own = zip(values, side.names, strict=True)
            rows += [(value, str(each.head.task), not told, name + told) for value, name in own]
    kinds = float, object, bool, object
    scores = TaskScores(*map(np.array, zip(*rows, strict=True), kinds))
    enough = min(len(side.runs) for each in tasks for side in (each.runs, each.baseline))
    numbers: dict[str, Any] = dict.fromkeys(
        f"{name}{end}" for name in ("mean_effect", "delta_m") for end in ("", "_low", "_high")
    )
    numbers = dict.fromkeys([*numbers, "mean_effect_p", "between_sd"], np.nan)
    relative = mean_relative_change(scores, options.confidence)
    numbers["delta_m"] = float(relative.estimate)
    reason, shrunken = f"fewer than {FEWEST_RUNS} runs on a side", {}
    if enough >= FEWEST_RUNS:
        mean = mean_over_tasks(scores, options.confidence)
        reason, shrunken = mean.reason, dict(zip(mean.tasks, mean.effects, strict=True))
        numbers |= {"mean_effect": mean.estimate, "mean_effect_low": mean.low}
        numbers |= {"mean_effect_high": mean.high, "mean_effect_p": mean.p_value}
        numbers |= {"between_sd": mean.between_sd}
        numbers |= {"delta_m_low": float(relative.low), "delta_m_high": float(relative.high)}
    for each in tasks:
        effect = shrunken.get(str(each.head.task), np.nan)
        yield each.head.row(reason, metric=each.metric, shrunken=effect, **numbers)


def of_overall(part: pd.DataFrame) -> Iterator[Sentence]:
    """Yield the mean over tasks of a group; an estimate, and no finding of its own.

    Parameters
    ----------
    part
        Rows of one group, baseline and metric in ``overall`` of :func:`trajlab.analysis.gap`.
    """
    row = records(part)[0]
    if np.isnan(row["mean_effect"]):
        return
    names = ("mean_effect", "mean_effect_low", "mean_effect_high", "between_sd", "delta_m")
    text = (
        f"Over {len(part)} tasks, taken for a sample of tasks, the mean of Δ is estimated at "
        f"{term(row, 'mean_effect')}, with SD {row['between_sd']:.2g} between tasks; "
        f"Δm = {term(row, 'delta_m')} %, of these tasks alone. No finding of its own."
    )
    yield Sentence(row, "", (text, {name: row[name] for name in names}))
