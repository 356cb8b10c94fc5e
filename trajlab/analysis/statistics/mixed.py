"""The mean effect over tasks: a linear mixed model of tasks and runs.

Tasks are taken for a sample of the tasks that might have been trained, and the runs of several
tasks share what is their own: scores of one network are not independent.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from trajlab.analysis.statistics.distributions import t_quantile, t_tail
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.analysis.statistics.task_scores import TaskScores
from trajlab.lazy import pd

if TYPE_CHECKING:
    from statsmodels.regression.mixed_linear_model import MixedLMResults

FEWEST_TASKS = 3
_TIE = 1e-3  # of the log likelihood, by which a further component has to be better


@dataclass(frozen=True)
class TaskMean:
    """The effect of a treatment, over tasks.

    Attributes
    ----------
    estimate, low, high, p_value
        Its mean over tasks, with the t interval and its p against 0; NaN with a `reason`.
    between_sd
        Standard deviation of the effect between tasks.
    effects
        (k,) the effect on each task, shrunken towards the mean, in the order of `tasks`.
    tasks
        (k,) their names.
    reason
        Why numbers are missing, or which part of the model was left out.
    """

    estimate: float
    low: float
    high: float
    p_value: float
    between_sd: float
    effects: FloatArray
    tasks: tuple[str, ...]
    reason: str = ""


def mean_over_tasks(scores: TaskScores, confidence: float = 0.95) -> TaskMean:
    """Estimate the mean effect over tasks by restricted maximum likelihood.

    score = task + treated · (mean effect + the task's own) + the run's own + residual; a run has a
    part of its own where it has several tasks. Where the fit does not converge, as it may when a
    variance is at its boundary, 0, the best model with fewer components is taken, and the reason
    says which was left out.

    Parameters
    ----------
    scores
        Those of three or more tasks.
    confidence
        Coverage.

    Returns
    -------
    TaskMean
        Its degrees of freedom are Satterthwaite's, of tasks (k − 1) and networks.

    References
    ----------
    N. M. Laird, J. H. Ware (1982), Biometrics 38, 963-974; F. E. Satterthwaite (1946), Biometrics
    Bulletin 2, 110-114.
    """
    score, task, treated, run = scores
    tasks, column = np.unique(np.asarray(task), return_inverse=True)
    names = tuple(str(name) for name in tasks)
    nothing = TaskMean(np.nan, np.nan, np.nan, np.nan, np.nan, np.full(len(names), np.nan), names)
    if len(names) < FEWEST_TASKS:
        return _because(nothing, f"fewer than {FEWEST_TASKS} tasks")
    dummies = np.eye(len(names))[column]
    networks, sides = _networks(run, treated)
    parts = {"task": dummies * treated[:, None]} | ({"run": networks} if sides else {})
    fixed = np.column_stack([dummies, treated.astype(float)])
    chosen, fitted = _fit(score, fixed, parts)
    if fitted is None:
        return _because(nothing, "the mixed model of tasks and runs did not converge")
    mean, error = float(fitted.fe_params[-1]), float(fitted.bse_fe[-1])
    variance = dict(zip(chosen, np.atleast_1d(fitted.vcomp), strict=True))
    of_runs = variance.get("run", 0.0) * sum(1 / count for count in sides)
    of_tasks = max(error**2 - of_runs, 0.0)
    freedom = error**4 / (
        of_tasks**2 / (len(names) - 1) + of_runs**2 / max(sum(sides) - len(sides), 1)
    )
    half_width = float(t_quantile((1 + confidence) / 2, freedom)) * error
    own = np.zeros(len(names))
    if "task" in chosen:
        own = fitted.random_effects[0].filter(like="task").to_numpy(float)
    left_out = [f"no variance between {part}s was found" for part in parts if part not in chosen]
    return TaskMean(
        mean,
        mean - half_width,
        mean + half_width,
        float(2 * t_tail(abs(mean) / error, freedom)),
        float(np.sqrt(variance.get("task", 0.0))),
        mean + own,
        names,
        "; ".join(left_out),
    )


def _networks(run: npt.ArrayLike, treated: npt.NDArray[np.bool_]) -> tuple[FloatArray, list[int]]:
    """Return which network each score is of, and how many networks each side has, if any."""
    label = pd.Series(np.asarray(run))
    several = label.groupby(label).transform("size") > 1
    columns = pd.get_dummies(label.where(several)).to_numpy(float)
    counts = [int(label[several & (treated == side)].nunique()) for side in (True, False)]
    return columns, [count for count in counts if count]


def _fit(
    score: FloatArray, fixed: FloatArray, parts: dict[str, FloatArray]
) -> tuple[tuple[str, ...], MixedLMResults | None]:
    """Fit all components; where that stops at a boundary, the best of those with fewer."""
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec  # takes a second to load

    best: tuple[tuple[str, ...], MixedLMResults | None] = ((), None)
    for size in range(len(parts), 0, -1):
        for chosen in combinations(parts, size):
            names = [[f"{name} {i}" for i in range(parts[name].shape[1])] for name in chosen]
            spec = VCSpec(list(chosen), [[own] for own in names], [[parts[p]] for p in chosen])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it did not converge is checked
                try:
                    fitted = MixedLM(score, fixed, np.zeros(len(score)), exog_vc=spec).fit(
                        method=["powell", "lbfgs"]  # near 0 the gradient is flat, and stops early
                    )
                    good = fitted.converged and np.isfinite(fitted.bse_fe[-1])
                except (np.linalg.LinAlgError, ValueError):
                    good = False
            if good and (best[1] is None or fitted.llf > best[1].llf + _TIE):
                best = chosen, fitted
        if best[1] is not None:
            break
    return best


def _because(nothing: TaskMean, reason: str) -> TaskMean:
    return TaskMean(**{**vars(nothing), "reason": reason})
