"""From stages to runs: the best hyper-parameters of a stage are chosen on validation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from trajlab.analysis.front.budget import smallest
from trajlab.analysis.runs.recorded import higher_is_better
from trajlab.errors import TrajlabError, warn
from trajlab.store import Trajectory
from trajlab.study.file import Selection, Study
from trajlab.study.fronts import Configuration, best_of, on_front
from trajlab.study.grid import Best, Stage, reseeded
from trajlab.study.run import Run


def runs(study: Study, stage: Stage) -> list[Run] | None:
    """Return the runs of a stage, each once; None while what it is chosen by is not trained.

    Parameters
    ----------
    study
        The study.
    stage
        One of its stages.

    Raises
    ------
    TrajlabError
        If every run that a choice is made from diverged or failed.
    """
    tried = {
        other.name: runs(study, other) for other in study.stages if other.name in stage.sources
    }
    for stage_runs in tried.values():
        if stage_runs is None or not all(run.settled for run in stage_runs):
            return None
    if stage.again:
        configurations = reseeded([*_again(stage, tried, study.selection)], stage.grid)
        return [Run(study.runs, own, study.device, study.root) for own in configurations]
    chosen: dict[tuple[str, str], float] = {}  # one choice serves many configurations

    def resolve(key: str, value: Best, configuration: Mapping[str, Any]) -> float:
        what = key, repr((value, [configuration[name] for name in value.per]))
        if what not in chosen:
            best_value = best(key, value, configuration, tried[value.stage] or (), study.selection)
            chosen[what] = value.times * best_value
        return chosen[what]

    resolved = []
    for configuration in stage.configurations():
        values = {
            key: resolve(key, value, configuration) if isinstance(value, Best) else value
            for key, value in configuration.items()
        }
        resolved.append(Run(study.runs, values, study.device, study.root))
    return list({run.path: run for run in resolved}.values())


def _again(
    stage: Stage, tried: Mapping[str, Sequence[Run] | None], selection: Selection
) -> Iterator[Configuration]:
    """Yield what a stage trains again of the stages that it names."""
    sources = [(other, tried[other.name] or ()) for other in stage.again]
    if not stage.front:
        for other, own in sources:
            yield from best_of(other, own, selection)
        return
    recorded = [run.trajectory() for _, own in sources for run in own]
    finished = [trajectory for trajectory in recorded if trajectory is not None]
    for budget in stage.budgets:
        most = smallest(finished, budget)
        for other, own in sources:
            yield from on_front(other, own, selection, budget, most)


def best(
    key: str,
    chosen: Best,
    configuration: Mapping[str, Any],
    tried: Sequence[Run],
    selection: Selection,
) -> float:
    """Return the value of a hyper-parameter with the highest mean validation score.

    A run's score is its best evaluation; one that diverged or failed has none, and a value one of
    whose runs did is not chosen. A best value at the edge of those tried is warned of.

    Parameters
    ----------
    key
        The hyper-parameter.
    chosen
        The rule.
    configuration
        What the value is for; its values of ``per`` select among `tried`.
    tried
        Runs that are finished or failed.
    selection
        The metric.

    Raises
    ------
    TrajlabError
        If no value is left to choose.
    """
    wanted = {name: configuration[name] for name in chosen.per} | dict(chosen.where or {})
    scores: dict[float, list[float]] = {}
    for run in tried:
        if all(run.configuration[name] == value for name, value in wanted.items()):
            trajectory = run.trajectory()
            reached = np.nan if trajectory is None else score(trajectory, selection)
            scores.setdefault(run.configuration[key], []).append(reached)
    means = {value: float(np.mean(listed)) for value, listed in scores.items()}
    if not np.isfinite(list(means.values())).any():
        raise TrajlabError(
            f"no {key} of stage {chosen.stage!r} can be chosen for {wanted or 'all'}: there are no "
            "such runs, or all diverged or failed; try other values"
        )
    winner = max(means, key=lambda value: np.nan_to_num(means[value], nan=-np.inf))
    if len(means) > 1 and winner in (min(means), max(means)):
        warn(
            f"the best {key} of stage {chosen.stage!r}, {winner:g}, is at the edge of those tried; "
            "extend them"
        )
    return winner


def score(run: Trajectory, selection: Selection) -> float:
    """Return a run's best evaluation on the selection split, after the first step.

    NaN if it diverged, or has none.
    """
    table = run.table(f"evaluations/{selection.split}")
    tasks = list(table["task"])
    counted = [tasks.index(selection.task)] if selection.task else list(range(len(tasks)))
    if not np.isfinite(table["loss"][-1, counted]).all():
        return float("nan")
    higher = higher_is_better(run, selection.split, selection.metric)
    values = table[selection.metric][:, counted].mean(1) * (1 if higher else -1)
    trained = values[np.asarray(table["step"]) > 0]
    return float(np.nanmax(trained)) if np.isfinite(trained).any() else float("nan")
