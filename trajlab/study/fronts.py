"""What of a stage is trained again: its front on validation, or its best configuration."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trajlab.analysis.front.budget import Budget, affordable
from trajlab.analysis.front.pareto import non_dominated
from trajlab.analysis.runs.recorded import higher_is_better
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory
from trajlab.study.file import Selection
from trajlab.study.grid import Stage
from trajlab.study.run import Run

Configuration = Mapping[str, Any]


def on_front(
    stage: Stage,
    tried: Sequence[Run],
    selection: Selection,
    budget: Budget = "whole",
    most: float = np.inf,
) -> list[Configuration]:
    """Return the configurations on a stage's front, each once, whatever their seed.

    The objectives are the tasks; a configuration has the mean over its seeds. One of whose runs
    diverged or failed is not chosen.

    Parameters
    ----------
    stage
        For the sentence.
    tried
        Its runs, finished or failed.
    selection
        The metric, and the split.
    budget, most
        A unit, and how much of it had been spent by the last evaluation that counts.

    Raises
    ------
    TrajlabError
        If the runs have different tasks, none is left, or one did not record what it spent.
    """
    means = _means(stage, tried, selection, budget, most)
    kept = non_dominated(np.array([mean for _, mean in means]))
    return [own for (own, _), taken in zip(means, kept, strict=True) if taken]


def best_of(stage: Stage, tried: Sequence[Run], selection: Selection) -> list[Configuration]:
    """Return the one configuration of a stage with the best mean over tasks.

    Parameters and errors are those of `on_front`.
    """
    means = _means(stage, tried, selection, "whole", np.inf)
    return [max(means, key=lambda pair: float(pair[1].mean()))[0]]


def _means(
    stage: Stage, tried: Sequence[Run], selection: Selection, budget: Budget, most: float
) -> list[tuple[Configuration, FloatArray]]:
    """Return each configuration's scores (task,), where none of its runs diverged or failed."""
    scores: dict[str, list[FloatArray]] = {}
    first: dict[str, Configuration] = {}
    failed = set()
    for run in tried:
        trajectory = run.trajectory()
        key = json.dumps({**run.configuration, "seed": None}, sort_keys=True)
        if trajectory is None:
            failed.add(key)
            continue
        first.setdefault(key, run.configuration)
        scores.setdefault(key, []).append(chosen(trajectory, selection, budget, most)[1])
    if len({len(own) for listed in scores.values() for own in listed}) > 1:
        raise TrajlabError(
            f"stage {stage.name!r} has runs of different tasks, which cannot be compared; give "
            "each condition a stage"
        )
    kept = [key for key in scores if key not in failed]
    means = [(first[key], np.mean(scores[key], axis=0)) for key in kept]
    measured = [(own, mean) for own, mean in means if np.isfinite(mean).all()]
    if not measured:
        raise TrajlabError(
            f"every run of stage {stage.name!r} diverged or failed; try other values"
        )
    return measured


def chosen(
    run: Trajectory, selection: Selection, budget: Budget = "whole", most: float = np.inf
) -> tuple[int, FloatArray]:
    """Return the evaluation with the best mean over tasks, and each task's score there.

    One before the first step does not count, as in the analyses.

    Parameters
    ----------
    run
        A finished run.
    selection
        The metric, and the split.
    budget, most
        A unit, and how much of it had been spent by the last evaluation that counts.

    Returns
    -------
    int, (task,) array
        Row of the evaluation tables; scores, turned so that more is better, NaN if the run
        diverged.
    """
    table = run.table(f"evaluations/{selection.split}")
    higher = higher_is_better(run, selection.split, selection.metric)
    values = np.asarray(table[selection.metric], float) * (1 if higher else -1)
    step = np.asarray(table["step"])
    counts = (step > 0) & affordable(run, step, budget, most)
    mean = np.where(counts, values.mean(1), np.nan)
    if not np.isfinite(table["loss"][-1]).all() or not np.isfinite(mean).any():
        return len(values) - 1, np.full(values.shape[1], np.nan)
    best = int(np.nanargmax(mean))
    return best, values[best]


def reached(run: Trajectory, selection: Selection, split: str = "test") -> FloatArray:
    """Return each task's metric (task,) at the chosen evaluation, NaN if the run diverged.

    Parameters
    ----------
    run, selection
        As in `chosen`.
    split
        Where it is read; values are as recorded.
    """
    row, scores = chosen(run, selection)
    values = np.asarray(run.table(f"evaluations/{split}")[selection.metric][row], float)
    return np.where(np.isfinite(scores).all(), values, np.nan)
