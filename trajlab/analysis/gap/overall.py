"""The mean over tasks: a mixed model of tasks and runs, and the literature's Δm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from trajlab.analysis.gap.options import GapOptions
from trajlab.analysis.interface.result import FEWEST_RUNS, Sentence, term
from trajlab.analysis.interface.tables import Head, records
from trajlab.analysis.runs.evaluations import WINDOWS
from trajlab.analysis.runs.groups import Comparison
from trajlab.analysis.runs.sides import Side
from trajlab.analysis.runs.windows import Windows
from trajlab.analysis.statistics.mixed import FEWEST_TASKS, mean_over_tasks
from trajlab.analysis.statistics.relative import mean_relative_change
from trajlab.lazy import pd


def overall_frame(
    compared: Sequence[tuple[Comparison, str, Side, Side]], options: GapOptions
) -> pd.DataFrame:
    """Return one row a task of each group of three or more tasks, with the group's numbers.

    Parameters
    ----------
    compared
        Comparison, metric and the two sides, both with runs.
    options
        Options of the gap.

    Returns
    -------
    DataFrame
        `metric`, the `shrunken` estimate of the task's Δ, the `mean_effect` over tasks with its
        interval, `between_sd`, and `delta_m` in percent with its interval.
    """
    groups: dict[tuple[Any, ...], list[tuple[Comparison, str, Side, Side]]] = {}
    for each in compared:
        key = (*each[0].group.keys.values(), each[0].head(0, 0).baseline, each[1])
        groups.setdefault(key, []).append(each)
    several = [own for own in groups.values() if len(own) >= FEWEST_TASKS]
    return pd.DataFrame(row for own in several for row in _rows(own, options))


def _rows(
    own: Sequence[tuple[Comparison, str, Side, Side]], options: GapOptions
) -> Iterator[dict[str, Any]]:
    parts = []
    for comparison, _, runs, baseline in own:
        windows = Windows.of(runs.runs, baseline.runs, WINDOWS[options.window])
        for side in (runs, baseline):
            scores = [float(windows.scores(run)[0]) for run in side.runs]
            frame = pd.DataFrame({"score": scores, "run": side.names, "treated": side is runs})
            parts.append(frame.assign(task=comparison.task))
    rows = pd.concat(parts, ignore_index=True)
    rows["run"] = rows["run"] + np.where(rows["treated"], "", " of the baseline")
    score, task, treated, run = (
        rows[name].to_numpy() for name in ("score", "task", "treated", "run")
    )
    enough = rows.groupby(["task", "treated"]).size().min() >= FEWEST_RUNS
    numbers: dict[str, Any] = dict.fromkeys(
        f"{name}{end}" for name in ("mean_effect", "delta_m") for end in ("", "_low", "_high")
    )
    numbers = dict.fromkeys([*numbers, "mean_effect_p", "between_sd"], np.nan)
    relative = mean_relative_change(score, task, treated, run, options.confidence)
    numbers["delta_m"] = float(relative.estimate)
    reason, shrunken = f"fewer than {FEWEST_RUNS} runs on a side", {}
    if enough:
        found = mean_over_tasks(score, task, treated, run, options.confidence)
        reason, shrunken = found.reason, dict(zip(found.tasks, found.effects, strict=True))
        numbers |= {"mean_effect": found.estimate, "mean_effect_low": found.low}
        numbers |= {"mean_effect_high": found.high, "mean_effect_p": found.p_value}
        numbers |= {"between_sd": found.between_sd}
        numbers |= {"delta_m_low": float(relative.low), "delta_m_high": float(relative.high)}
    for comparison, metric, runs, baseline in own:
        head: Head = comparison.head(len(baseline.runs), len(runs.runs))
        effect = shrunken.get(comparison.task, np.nan)
        yield head.row(reason, metric=metric, shrunken=effect, **numbers)


def of_overall(overall: pd.DataFrame, keys: Sequence[str]) -> Iterator[Sentence]:
    """Yield the mean over tasks of each group; an estimate, and no finding of its own.

    Parameters
    ----------
    overall
        Of :func:`trajlab.analysis.gap`.
    keys
        Columns that name a group.
    """
    if overall.empty:
        return
    for _, part in overall.groupby([*keys, "baseline", "metric"], sort=False):
        row = records(part)[0]
        if np.isnan(row["mean_effect"]):
            continue
        names = ("mean_effect", "mean_effect_low", "mean_effect_high", "between_sd", "delta_m")
        text = (
            f"Over {len(part)} tasks, taken for a sample of tasks, the mean of Δ is estimated at "
            f"{term(row, 'mean_effect')}, with SD {row['between_sd']:.2g} between tasks; "
            f"Δm = {term(row, 'delta_m')} %, of these tasks alone. No finding of its own."
        )
        yield Sentence(row, "", (text, {name: row[name] for name in names}))
