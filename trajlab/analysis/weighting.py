"""The weight that a method gives each task over training, and how much it moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlab.analysis.interface.options import IntervalOptions, Options
from trajlab.analysis.interface.result import Family, Result
from trajlab.analysis.interface.tables import Head
from trajlab.analysis.runs.groups import Group, group, one_task
from trajlab.analysis.statistics.intervals import mean_interval
from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store import Trajectory

FloatArray = npt.NDArray[np.float64]

GIVEN, IMPLIED = "given", "implied"
_PLACES = ((GIVEN, "losses", "weight"), (IMPLIED, "aggregation", "implied_weight"))
_NOT_RECORDED = "no complete run of several tasks recorded their weights"
_CONSTANT = "every run of several tasks gives them constant weights"


@dataclass(frozen=True, kw_only=True)
class Weighting(Result):
    """What :func:`weighting` returns.

    Attributes
    ----------
    weights
        One row a run, recorded step and task: the weight `recorded`, and its share of the step's.
    summary
        One row a group and task: the mean share, and the standard deviation of the share's
        logarithm along a run, both averaged over runs.
    """

    options: IntervalOptions
    weights: pd.DataFrame
    summary: pd.DataFrame


def weighting(
    runs: Iterable[Trajectory],
    *,
    confidence: float = 0.95,
    group_by: Sequence[str] = (),
) -> Weighting:
    """Return the weight of each task over training, and how much its logarithm moves.

    Weights are those that a method gave the losses; where it has none (it joins gradients in
    another way), those that its update implies: of the sum of task gradients that is nearest to
    it. Only their shares matter for the direction of an update, so what moves is the share. A share
    of 0 or less has no logarithm; such steps are counted in `n_not_positive` and left out.

    Parameters
    ----------
    runs
        Recorded runs; those of one task are passed over.
    confidence, group_by
        As in :func:`trajlab.analysis.gap`.

    Returns
    -------
    Weighting
        Tables `weights` and `summary`. `sd_log` has a t interval over runs from `low` to `high`.

    Raises
    ------
    TrajlabError
        If no run of several tasks recorded weights.

    References
    ----------
    D. Xin et al., "Do Current Multi-Task Optimization Methods in Deep Learning Even Help?",
    NeurIPS 2022, find that dynamic weights barely move.

    Examples
    --------
    >>> import trajlab
    >>> runs = trajlab.datasets.load("digits-fronts").select(stage="fresh", method="inverse")
    >>> found = trajlab.analysis.weighting(runs, group_by=["weight", "lr"]).summary
    >>> found[["task", "mean_share", "sd_log"]].round(2)
         task  mean_share  sd_log
    0   digit        0.11    0.53
    1  parity        0.89    0.06
    """
    options = IntervalOptions(confidence=confidence, group_by=group_by)
    frames, summaries = [], []
    for each in group(runs, group_by):
        if len(each.tasks) < 2 or not each.runs:
            continue
        found = [_frame(run, each.tasks) for run in each.runs]
        known = [frame for frame in found if len(frame)]
        head = Head(keys=each.keys, n_runs=len(each.runs))
        rows = pd.concat(known, ignore_index=True) if known else _frame(None, each.tasks)
        frames.append(head.above(rows))
        summaries.append(head.above(summarise(rows, each.tasks, confidence)))
    if not any(map(len, frames)):
        raise TrajlabError(f"{_NOT_RECORDED}; pass them to Recorder.backward(losses, weights)")
    return Weighting(
        options=options,
        weights=pd.concat([frame for frame in frames if len(frame)], ignore_index=True),
        summary=pd.concat(summaries, ignore_index=True),
    )


def weights_of(run: Trajectory) -> tuple[str, npt.NDArray[np.int64], FloatArray]:
    """Return where a run's weights come from, and at which steps (n,) they were which (n, task).

    Steps without a weight of every task are left out; without any the origin is empty.
    """
    for origin, table, column in _PLACES:
        if table in run.tables and column in run.table(table):
            found = run.table(table)
            values = np.asarray(found[column], float)
            known = np.isfinite(values).all(axis=1)
            if known.any():
                return origin, np.asarray(found["step"])[known], values[known]
    return "", np.empty(0, int), np.empty((0, len(run.tasks)))


def log_spread(shares: FloatArray) -> FloatArray:
    """Return the standard deviation of each task's log share along a run.

    Parameters
    ----------
    shares
        (n, task); those of 0 or less are left out.

    Returns
    -------
    (task,) array
        With ddof = 1; NaN where fewer than two are left.
    """
    logs = [np.log(own[own > 0]) for own in shares.T]
    return np.array([own.std(ddof=1) if len(own) > 1 else np.nan for own in logs])


def summarise(rows: pd.DataFrame, tasks: Sequence[str], confidence: float) -> pd.DataFrame:
    """Return one row a task of a group's rows of `weights`."""
    made = []
    for task in tasks:
        own = rows[rows["task"] == task]
        runs = [part["share"].to_numpy(float) for _, part in own.groupby("run", sort=False)]
        spreads = np.array([log_spread(share[:, None])[0] for share in runs])
        known = spreads[np.isfinite(spreads)]
        mean = mean_interval(known, confidence) if len(known) else None
        few = "fewer than two runs: no interval" if len(known) == 1 else ""
        made.append(
            {
                "task": task,
                "origin": " and ".join(own["origin"].unique()),
                "mean_share": float(np.mean([s.mean() for s in runs])) if runs else np.nan,
                "sd_log": float(mean.estimate) if mean else np.nan,
                "low": float(mean.low) if mean else np.nan,
                "high": float(mean.high) if mean else np.nan,
                "n_runs": len(known),
                "n_not_positive": int((own["share"] <= 0).sum()),
                "reason": few if len(known) else "no two steps with a weight of every task",
            }
        )
    return pd.DataFrame(made)


def _frame(run: Trajectory | None, tasks: Sequence[str]) -> pd.DataFrame:
    """Return a run's rows of `weights`; its tasks may be stored in another order."""
    columns = ["run", "step", "task", "recorded", "share", "origin"]
    origin, step, values = weights_of(run) if run else ("", np.empty(0, int), np.empty((0, 0)))
    if run is None or not len(step):
        return pd.DataFrame(columns=columns)
    values = values[:, [list(run.tasks).index(task) for task in tasks]]
    total = values.sum(axis=1, keepdims=True)
    shares = np.divide(values, total, out=np.full_like(values, np.nan), where=total != 0)
    found = {
        "run": str(run.path),
        "step": np.repeat(step, len(tasks)),
        "task": np.tile(np.array(tasks, dtype=object), len(step)),
        "recorded": values.ravel(),
        "share": shares.ravel(),
        "origin": origin,
    }
    return pd.DataFrame(found, columns=columns)


def requires(groups: Sequence[Group], options: Options) -> str:
    """Return why there is nothing to see: weights are not recorded, or never move."""
    del options
    several = [run for each in groups if len(each.tasks) > 1 for run in each.runs]
    found = [values for run in several if len(values := weights_of(run)[2])]
    if not found:
        return one_task(groups) or _NOT_RECORDED
    return "" if any(np.ptp(values, axis=0).any() for values in found) else _CONSTANT


FAMILY = Family(weighting, requires)
