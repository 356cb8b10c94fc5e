"""The tables of :func:`trajlab.analysis.conflict` for one group of runs."""

from __future__ import annotations

from collections.abc import Sequence

from trajlab.analysis.conflict import multitask
from trajlab.analysis.conflict.corrected import corrected_frame, summarise_corrected
from trajlab.analysis.conflict.examples import example_frame, summarise_examples
from trajlab.analysis.conflict.options import ConflictOptions
from trajlab.analysis.conflict.rows import (
    MISSING,
    ZERO,
    cosines_alone,
    has_cosines,
    measured_frames,
    run_frames,
)
from trajlab.analysis.conflict.sketches import time_frame
from trajlab.analysis.interface.tables import Head
from trajlab.analysis.runs.groups import Group
from trajlab.analysis.statistics.intervals import mean_interval
from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store import Trajectory

PAIR = ["task_a", "task_b", "layer"]


def summarise(pairs: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return one row a pair of tasks and layer: the mean over training, then over runs.

    Parameters
    ----------
    pairs
        Rows of :func:`pair_frame` with the column `run`.
    confidence
        Coverage of the t interval over runs of `mean_cosine`: `low` to `high`.
    """
    known = pairs[pairs["cosine"].notna()].groupby([*PAIR, "run"], sort=False)
    by_run = known[["cosine", "conflicting"]].mean()
    by_pair = dict(iter(by_run.groupby(level=PAIR, sort=False)))
    times = multitask.over_training(pairs, PAIR, ("cosine",), confidence)
    lacking = {
        why: pairs["reason"].eq(why).groupby([pairs[name] for name in PAIR]).sum()
        for why in (ZERO, MISSING)
    }
    rows = []
    for ends in times.itertuples(index=False):
        names = tuple(ends[: len(PAIR)])
        runs = by_pair.get(names, by_run[:0])
        mean = mean_interval(runs["cosine"].to_numpy(), confidence)
        rows.append(
            {
                **dict(zip(PAIR, names, strict=True)),
                "mean_cosine": float(mean.estimate),
                "low": float(mean.low),
                "high": float(mean.high),
                "share_conflicting": float(runs["conflicting"].mean()),
                "cosine_early": ends.cosine_early,
                "cosine_late": ends.cosine_late,
                "n_runs": len(runs),
                "n_zero": int(lacking[ZERO][names]),
                "n_missing": int(lacking[MISSING][names]),
                "reason": "" if len(runs) > 1 else "fewer than two runs: no interval",
            }
        )
    return pd.DataFrame(rows)


def group_tables(group: Group, options: ConflictOptions) -> dict[str, pd.DataFrame]:
    """Return a group's rows of each table of :func:`conflict`; none without gradients.

    Parameters
    ----------
    group
        The group.
    options
        Options of the analysis.

    Raises
    ------
    TrajlabError
        If runs differ in their shared parameters.
    """
    confidence = options.confidence
    runs = [run for run in group.runs if has_cosines(run)]
    if len(group.tasks) < 2 or not runs:
        return {}
    for run in runs:
        if set(run.shared) != set(runs[0].shared):
            raise TrajlabError(
                f"{runs[0].path} and {run.path} share different parameters, so their gradients "
                "cannot be averaged; group by what tells them apart"
            )
    pairs, similarities = (
        pd.concat(frames, ignore_index=True)
        for frames in zip(
            *(run_frames(run, group.tasks, options.layers) for run in runs), strict=True
        )
    )
    corrected = pd.concat(
        [
            pd.DataFrame() if cosines_alone(run) else corrected_frame(run, group.tasks)
            for run in runs
        ]
    )
    summary = summarise(pairs, confidence)
    if not corrected.empty:
        beside = summarise_corrected(corrected, confidence).assign(layer="all")
        summary = summary.merge(beside, how="left", on=PAIR)
    totals = similarities.drop_duplicates(["run", "step"])
    tasks = multitask.over_training(similarities, ("task",), multitask.MEASURES, confidence)
    overall = multitask.over_training(totals, (), multitask.TOTALS, confidence)
    for name, rows in _measured(runs, group.tasks).items():
        known = multitask.over_training(rows, ("task",), (name,), confidence)
        tasks = tasks.merge(known, how="left", on="task")
        if name == "noise_scale":
            noise = rows.groupby(["run", "step"])[name].mean().rename("noise").reset_index()
            overall = overall.join(multitask.over_training(noise, (), ("noise",), confidence))
    times = pd.concat([time_frame(run, group.tasks) for run in runs])
    examples = pd.concat([example_frame(run) for run in runs])
    head = Head(keys=group.keys, n_runs=len(runs))
    frames = {
        "pairs": pairs,
        "similarity": similarities.drop(columns=[*multitask.TOTALS]),
        "summary": summary,
        "tasks": tasks,
        "overall": overall,
        "corrected": corrected,
        "across_time": summarise_times(times, confidence),
        "examples": summarise_examples(examples, confidence),
    }
    return {name: head.above(frame) for name, frame in frames.items()}


def _measured(runs: Sequence[Trajectory], tasks: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Join the runs' rows of each measure that any of them has."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for run in runs:
        for name, rows in measured_frames(run, tasks).items():
            if len(rows):
                parts.setdefault(name, []).append(rows)
    return {name: pd.concat(rows) for name, rows in parts.items()}


def summarise_times(rows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return one row a task and lag: the mean over runs.

    Parameters
    ----------
    rows
        Of :func:`trajlab.analysis.conflict.sketches.time_frame`, of the runs of one group.
    confidence
        Coverage of the t interval over runs of `mean_cosine`: `low` to `high`.
    """
    made = []
    for (task, lag), part in rows.groupby(["task", "lag"], sort=False) if len(rows) else ():
        mean = mean_interval(part["cosine"].dropna().to_numpy(), confidence)
        made.append(
            {
                "task": task,
                "lag": lag,
                "steps_apart": part["steps_apart"].median(),
                "mean_cosine": float(mean.estimate),
                "low": float(mean.low),
                "high": float(mean.high),
                "mean_sign": part["sign"].mean(),
            }
        )
    return pd.DataFrame(made)
