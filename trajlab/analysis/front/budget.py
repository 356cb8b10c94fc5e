"""Fronts at equal compute: no run is read beyond what the cheapest one spent."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory

Budget = Literal["whole", "steps", "flops", "seconds"]
_ROUNDING = 1e-9


def smallest(runs: Sequence[Trajectory], budget: Budget) -> float:
    """Return the least that any of the runs spent; infinite for their whole training.

    A run that diverged ended early, and does not count.

    Parameters
    ----------
    runs
        Runs with evaluations on the training set.
    budget
        Unit in which the budget is counted.

    Raises
    ------
    TrajlabError
        If a run did not record what it spent.
    """
    if budget == "whole":
        return np.inf
    trained = [run for run in runs if "evaluations/train" in run.tables]
    ends = [spent(run, _steps(run), budget)[-1] for run in trained if not _diverged(run)]
    return float(min(ends, default=np.inf))


def within(run: Trajectory, evaluations: Evaluations, budget: Budget, most: float) -> Evaluations:
    """Return the evaluations at which a run had not spent more than `most`.

    Parameters
    ----------
    run
        The run.
    evaluations
        Its evaluations of one task.
    budget, most
        The unit, and what :func:`smallest` returned.
    """
    if not evaluations.step.size:
        return evaluations
    return evaluations.kept(affordable(run, evaluations.step, budget, most))


def affordable(
    run: Trajectory, steps: np.ndarray, budget: Budget, most: float
) -> NDArray[np.bool_]:
    """Say at which of the steps (n,) a run had not spent more than `most`.

    Parameters
    ----------
    run, steps
        As in `spent`.
    budget, most
        The unit, and what :func:`smallest` returned.
    """
    if budget == "whole":
        return np.ones(len(steps), bool)
    return np.asarray(spent(run, steps, budget) <= most * (1 + _ROUNDING))


def spent(run: Trajectory, steps: np.ndarray, budget: Budget) -> FloatArray:
    """Return what a run had spent at steps (n,); between and after recorded ones in proportion."""
    if budget == "steps":
        return np.asarray(steps, float)
    if "compute" not in run.tables or budget not in run.table("compute"):
        raise TrajlabError(
            f"{run.path} did not record what it spent (a table compute with the column {budget}), "
            "as runs of trajlab's studies do; leave it out or use --budget steps"
        )
    table = run.table("compute")
    known = np.concatenate([[0], table["step"]]), np.concatenate([[0.0], table[budget]])
    after = np.maximum(steps - known[0][-1], 0) * known[1][-1] / max(known[0][-1], 1)
    return np.asarray(np.interp(steps, *known) + after)


def _steps(run: Trajectory) -> np.ndarray:
    return np.asarray(run.table("evaluations/train")["step"])


def _diverged(run: Trajectory) -> bool:
    return not np.isfinite(run.table("evaluations/train")["loss"][-1]).all()
