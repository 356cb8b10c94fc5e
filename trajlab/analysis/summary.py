"""One row a run and task: the numbers that stand for a whole run, by the paper's rules.

D. Mueller, M. Dredze, N. Andrews, TMLR 2024: the metric is the mean over the checkpoints best
on validation (a tenth here, ten there), sharpness and its like the mean over the last 20
checkpoints, the Fisher trace the mean of its 20 largest values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlab.analysis.conflict.rows import has_cosines, run_frames
from trajlab.analysis.interface.tables import Head
from trajlab.analysis.runs.evaluations import read
from trajlab.analysis.runs.groups import Group
from trajlab.analysis.runs.quantities import recorded
from trajlab.analysis.runs.recorded import (
    check_metric,
    evaluated,
    higher_is_better,
    metrics,
    task_column,
)
from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store import Trajectory

CHECKPOINTS = 20  # of which the paper takes the mean
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Summary = tuple[float, str]  # a number, or NaN and the reason


@dataclass(frozen=True)
class Counts:
    """How many checkpoints stand for a run; the paper's numbers by default.

    Attributes
    ----------
    best
        Evaluations best on the selection split; None for a tenth of them, the paper has 10.
    last, largest
        Values of a factor.

    Raises
    ------
    TrajlabError
        If one is not positive.
    """

    best: int | None = None
    last: int = CHECKPOINTS
    largest: int = CHECKPOINTS

    def __post_init__(self) -> None:
        for name, number in vars(self).items():
            if number is not None and number < 1:
                raise TrajlabError(f"{name} must be at least 1 checkpoint, not {number}")


DEFAULT = Counts()


def summarise_runs(
    groups: Iterable[Group],
    metric: str | None = None,
    split: str = "test",
    selection_split: str = "validation",
    counts: Counts = DEFAULT,
) -> pd.DataFrame:
    """Return one row a run, task and metric.

    Parameters
    ----------
    groups
        Groups of runs; incomplete runs are left out.
    metric
        What `final_metric` is; every metric that a run recorded on `split` if not given.
    split, selection_split
        Where the metric is read, and where the ten checkpoints are chosen; without the latter,
        the last 10 % of evaluations stand for them.
    counts
        Numbers of checkpoints that stand for a run.

    Returns
    -------
    DataFrame
        The group's keys, all metadata, `task`, `run`, then `metric, higher_is_better,
        final_metric, min_train_loss, sharpness, gradient_covariance, fisher, hessian_top`,
        `similarity` (equation 6; none of a task alone), `excess_similarity` over the 1/√K that K
        orthogonal gradients of equal norm have, `mean_cosine` and `share_conflicting` with the
        other tasks over training; NaN with a `reason` where one was recorded too sparsely, and
        without one where it was not.
    """
    groups = list(groups)
    if metric:
        check_metric(metric, [run for group in groups for run in group.runs], split)
    rows = []
    for group in groups:
        for run in group.runs:
            likeness = _likeness(run)
            for task in run.tasks:
                head = {**run.metadata, **group.keys, "task": task, "run": str(run.path)}
                factors = {factor: _factor(run, task, factor, counts) for factor in FACTORS}
                for name in [metric] if metric else metrics([run], split, task):
                    scores = _scores(run, task, name, split, selection_split, counts.best)
                    numbers = {**scores, **factors, **likeness[task]}
                    values = {key: value for key, (value, _) in numbers.items()}
                    reasons = [reason for _, reason in numbers.values() if reason]
                    scored = {
                        "metric": name,
                        "higher_is_better": higher_is_better(run, split, name),
                    }
                    reason = "; ".join(dict.fromkeys(reasons))
                    Head(keys=group.keys).check_beside({**scored, **values})
                    rows.append({**head, **scored, **values, "reason": reason})
    return pd.DataFrame(rows)


def late_mean(step: IntArray, values: FloatArray, counts: Counts = DEFAULT) -> Summary:
    """Return the mean of the last values, if they are late: in the second half of the steps."""
    known, number = np.isfinite(values), counts.last
    last = step[known][-number:]
    if last.size < number:
        return np.nan, f"fewer than {number} values"
    if last[0] < (step[0] + step[-1]) / 2:
        return np.nan, f"the last {number} values begin in the first half of training"
    return float(values[known][-number:].mean()), ""


def largest_mean(step: IntArray, values: FloatArray, counts: Counts = DEFAULT) -> Summary:
    """Return the mean of the largest values."""
    del step
    known = np.sort(values[np.isfinite(values)])[-counts.largest :]
    if known.size < counts.largest:
        return np.nan, f"fewer than {counts.largest} values"
    return float(known.mean()), ""


# factor -> the quantity that it sums up, and the rule by which
FACTORS: Mapping[str, tuple[str, Callable[[IntArray, FloatArray, Counts], Summary]]] = {
    "sharpness": ("sharpness/value", late_mean),
    "gradient_covariance": ("noise/covariance_trace", late_mean),
    "fisher": ("fisher/trace", largest_mean),
    "hessian_top": ("hessian/top", late_mean),
}


def _scores(
    run: Trajectory, task: str, metric: str, split: str, selection_split: str, best: int | None
) -> dict[str, Summary]:
    names = ("final_metric", "min_train_loss")
    if not evaluated(run, split):
        return dict.fromkeys(names, (np.nan, ""))
    evaluations = read(run, task, metric, split, selection_split)
    if evaluations.diverged or not evaluations.step.size:
        return dict.fromkeys(
            names, (np.nan, "diverged" if evaluations.diverged else "no evaluations")
        )
    score = float(
        evaluations.best_score(best)
        if evaluations.selectable(best)
        else evaluations.end_score(best)
    )
    sign = 1 if higher_is_better(run, split, metric) else -1
    return {
        "final_metric": (sign * score, ""),
        "min_train_loss": (_least_loss(run, task), ""),
    }


def _least_loss(run: Trajectory, task: str) -> float:
    step, loss = task_column(run, "evaluations/train", "loss", task)
    known = loss[(step > 0) & np.isfinite(loss)]
    return float(known.min()) if known.size else np.nan


def _factor(run: Trajectory, task: str, factor: str, counts: Counts) -> Summary:
    quantity, rule = FACTORS[factor]
    step, values = recorded(run, task, quantity)
    if not np.isfinite(values).any():
        return np.nan, ""
    number, reason = rule(step, values, counts)
    return number, f"{factor}: {reason}" if reason else ""


def _likeness(run: Trajectory) -> dict[str, dict[str, Summary]]:
    """Return, for each task, how alike its gradient is to the update and to the other tasks'."""
    frames = None
    gradients = run.table("gradients").attributes if "gradients" in run.tables else {}
    if has_cosines(run) and gradients.get("complete") is not False:
        frames = run_frames(run, run.tasks, layers=False)
    likeness = {}
    if len(run.tasks) == 1:  # a gradient is like itself, which says nothing
        names = ("similarity", "excess_similarity", "mean_cosine", "share_conflicting")
        return {run.tasks[0]: dict.fromkeys(names, (np.nan, ""))}
    for task in run.tasks:
        to_update = recorded(run, task, "similarity/cosine_to_update")[1]
        cosine = conflicting = np.empty(0)
        if frames is not None:
            pairs = frames[0][(frames[0][["task_a", "task_b"]] == task).any(axis=1)].dropna(
                subset="cosine"
            )
            cosine, conflicting = pairs["cosine"].to_numpy(), pairs["conflicting"].to_numpy(float)
            if not to_update.size:
                of_task = frames[1]["task"] == task
                to_update = frames[1].loc[of_task, "cosine_to_update"].to_numpy()
        likeness[task] = {
            "similarity": (_mean(to_update), ""),
            "excess_similarity": (_mean(to_update) - len(run.tasks) ** -0.5, ""),
            "mean_cosine": (_mean(cosine), ""),
            "share_conflicting": (_mean(conflicting), ""),
        }
    return likeness


def _mean(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan
