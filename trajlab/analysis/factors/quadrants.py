"""How often a factor moved as the metric did, over tasks and methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlab.analysis.interface.tables import Head, group_columns
from trajlab.analysis.statistics.distributions import t_quantile
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.lazy import pd

CLEAR = 2.0  # standard errors a difference must be away from 0 to be counted
END = "end"
METRIC = "final_metric"  # the factor that the others are held against
POOLED = "all"


def quadrant_frame(
    delta: pd.DataFrame, confidence: float = 0.95, *, group_by: Sequence[str] = ()
) -> pd.DataFrame:
    """Count the points of each metric that a factor explains, per method and pooled.

    Parameters
    ----------
    delta
        One row a comparison, factor and place, with `z, better`; the factor ``final_metric`` is
        what the others are held against, for each `metric` where there is such a column.
    confidence
        Coverage of the intervals of the share.
    group_by
        Columns that tell groups apart, next to `setting`, `condition` and `method`.

    Returns
    -------
    DataFrame
        `setting, condition, method, task, baseline, n_baseline, n_runs, factor, at, explained,
        total, share, low, high, n_unclear, n_tasks, metric, reason`; `at` is ``end`` or
        ``matched``.
    """
    keys = [*group_columns(group_by), "task"]
    place = np.where(delta["at"] == END, END, "matched")
    points = delta[[*keys, "factor"]].assign(at=place, signed=delta["z"] * delta["better"])
    points["metric"] = delta.get("metric", "")
    scores = points[(points["factor"] == METRIC) & (points["at"] == END)]
    joined = (
        points[points["factor"] != METRIC]
        .drop(columns="metric")
        .merge(scores[[*keys, "metric", "signed"]], on=keys, suffixes=("", "_metric"))
    )
    rows: list[dict[str, Any]] = []
    for (metric, factor, at), part in joined.groupby(["metric", "factor", "at"], sort=False):
        methods: list[Any] = [*part.groupby("method", sort=False), (POOLED, part)]
        rows.extend(
            _row(str(factor), str(method), str(at), of_method, confidence, str(metric))
            for method, of_method in methods
        )
    return pd.DataFrame(rows)


def factor_names(delta: pd.DataFrame) -> pd.Series:
    """Return the factor of each row, with the metric after it where several were read.

    Parameters
    ----------
    delta
        As :func:`trajlab.analysis.factors` makes it.
    """
    metrics = delta["metric"]
    several = len(set(metrics) - {""}) > 1
    return delta["factor"].where((metrics == "") | (not several), delta["factor"] + " " + metrics)


def share_interval(
    explained: FloatArray, clusters: npt.ArrayLike, confidence: float = 0.95
) -> tuple[float, float]:
    """Return an interval for a share of points that come in clusters.

    The exact binomial interval, at the number of independent points that would have the variance
    between clusters; never more than there are points.

    Parameters
    ----------
    explained
        (n,) 0 or 1.
    clusters
        (n,) labels of what points share, such as the task.
    confidence
        Coverage.

    References
    ----------
    E. L. Korn, B. I. Graubard (1998), Survey Methodology 24, 193-201.
    """
    share, n = float(explained.mean()), len(explained)
    member = np.unique(np.asarray(clusters), return_inverse=True)[1]
    number = int(member.max()) + 1
    effective = float(number)
    if number > 1 and 0 < share < 1:
        residuals = np.bincount(member, explained - share)
        variance = number / (number - 1) * float((residuals**2).sum()) / n**2
        level = (1 + confidence) / 2
        few = float(t_quantile(level, n - 1) / t_quantile(level, number - 1)) ** 2
        effective = min(n, share * (1 - share) / variance * few) if variance > 0 else float(n)
    from statsmodels.stats.proportion import proportion_confint  # takes a second to load

    low, high = proportion_confint(share * effective, effective, 1 - confidence, method="beta")
    return float(low), float(high)


def _row(
    factor: str, method: str, at: str, points: pd.DataFrame, confidence: float, metric: str
) -> dict[str, Any]:
    both = points[["signed", "signed_metric"]].to_numpy(float)
    known = np.isfinite(both).all(axis=1)
    sure = (np.abs(both) > CLEAR).all(axis=1) & known
    clear = points[sure]
    explained = np.asarray(both[sure].prod(axis=1) > 0, float)
    tasks = (clear["setting"] + "\n" + clear["task"]).to_numpy()
    low, high = share_interval(explained, tasks, confidence) if len(clear) else (np.nan, np.nan)
    settings, conditions = (points[key].unique() for key in ("setting", "condition"))
    keys = {
        "setting": settings[0] if len(settings) == 1 else "",
        "condition": conditions[0] if len(conditions) == 1 else "",
        "method": method,
    }
    return Head(keys=keys, task="").row(
        "" if len(clear) else f"no point is {CLEAR:g} standard errors away from 0",
        factor=factor,
        at=at,
        explained=int(explained.sum()),
        total=len(clear),
        share=float(explained.mean()) if len(clear) else np.nan,
        low=low,
        high=high,
        n_unclear=int(known.sum()) - len(clear),
        n_tasks=len(set(tasks)),
        metric=metric,
    )
