"""What differs between groups of runs besides the metric: factors, at the end and at equal loss."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from trajlab.analysis.factors.deltas import delta_rows
from trajlab.analysis.factors.quadrants import quadrant_frame
from trajlab.analysis.gap.matching import RULES
from trajlab.analysis.options import check_choice, check_confidence
from trajlab.analysis.result import Result
from trajlab.analysis.runs import groups
from trajlab.analysis.runs.evaluations import SELECTED
from trajlab.analysis.summary import CHECKPOINTS, Counts, summarise_runs
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory

_COUNTS = ("n_baseline", "n_runs")


@dataclass(frozen=True, kw_only=True)
class Factors(Result):
    """What :func:`factors` returns.

    Attributes
    ----------
    runs
        One row a run and task: the numbers that stand for it.
    delta
        One row a comparison, factor and place: the difference to the baseline.
    quadrants
        One row a factor, method and place: how often the factor moved as the metric did.
    signs
        One row a comparison and place, one column a factor: for the better, or for the worse.
    """

    runs: pd.DataFrame
    delta: pd.DataFrame
    quadrants: pd.DataFrame
    signs: pd.DataFrame


def factors(
    runs: Iterable[Trajectory],
    *,
    baseline: Mapping[str, str] = groups.BASELINE,
    against: Mapping[str, str] | None = None,
    metric: str | None = None,
    split: str = "test",
    selection_split: str = "validation",
    best: int = SELECTED,
    last: int = CHECKPOINTS,
    largest: int = CHECKPOINTS,
    at: Sequence[float] = (),
    rule: Literal["isotonic", "first_passage", "bins"] = "isotonic",
    confidence: float = 0.95,
    seed: int = 0,
    group_by: Sequence[str] = (),
) -> Factors:
    """Differences in sharpness, gradient covariance, Fisher trace and their like, and what agrees.

    Each factor is compared with the baseline's twice: by what stands for a whole run, and at equal
    training loss, because a factor at the end of training also tells how far the loss fell. A point
    of the quadrants is one task of one method; it is explained where the factor and the metric both
    improve or both worsen, and counted where both differences are more than two standard errors.

    Parameters
    ----------
    runs
        Recorded runs.
    baseline, against, split, selection_split
        As in :func:`trajlab.analysis.gap`.
    metric
        The metric that stands for a run; the first one recorded on `split` if not given.
    best
        Evaluations best on `selection_split` whose mean is the metric.
    last
        Last values of sharpness, gradient covariance and top Hessian eigenvalue that are averaged.
    largest
        Largest values of the Fisher trace that are averaged.
    at
        Training losses to compare factors at; the largest of all runs' minimum losses if not given.
    rule, confidence, seed, group_by
        As in :func:`trajlab.analysis.gap`.

    Returns
    -------
    Factors
        Tables `runs`, `delta`, `quadrants` and `signs`.

    Raises
    ------
    TrajlabError
        If an option is unknown, runs cannot be grouped or have no baseline, or a loss is not
        positive.

    References
    ----------
    D. Mueller, M. Dredze, N. Andrews, TMLR 2024: the run summaries, and the quadrants.
    """
    check_choice("rule", rule, RULES)
    check_confidence(confidence)
    if wrong := [loss for loss in at if not (np.isfinite(loss) and loss > 0)]:
        raise TrajlabError(f"a training loss to compare at must be positive, not {wrong[0]}")
    found = groups.group(runs, group_by)
    counts = Counts(best, last, largest)
    summaries = summarise_runs(found, metric, split, selection_split, counts)
    settings = {
        "baseline": dict(baseline),
        "against": dict(against or {}),
        "metric": metric,
        "split": split,
        "selection_split": selection_split,
        **asdict(counts),
        "at": list(at),
        "rule": rule,
        "interval": "Welch t",
        "confidence": confidence,
        "seed": seed,
        "group_by": list(group_by),
    }
    rows: list[dict[str, Any]] = []
    for comparison in groups.compare(found, baseline, against):
        rows.extend(delta_rows(comparison, summaries, settings))
    delta = pd.DataFrame(rows)
    return Factors(
        settings=settings,
        runs=_counted(summaries),
        delta=delta,
        quadrants=quadrant_frame(delta, confidence),
        signs=sign_frame(delta),
    )


def sign_frame(delta: pd.DataFrame) -> pd.DataFrame:
    """Return one row a comparison and place, with the direction of each factor.

    Parameters
    ----------
    delta
        As :func:`factors` makes it.

    Returns
    -------
    DataFrame
        A cell is ``better`` or ``worse`` where the factor moved significantly, ``unclear`` where
        its interval holds 0, and empty where there is none.
    """
    better = np.sign(delta["delta"] * delta["better"])
    told = np.select(
        [delta["delta"].isna() | delta["low"].isna(), ~delta["significant"], better > 0],
        ["", "unclear", "better"],
        "worse",
    )
    columns = list(delta.columns)
    names = [name for name in columns[: columns.index("at") + 1] if name not in _COUNTS]
    table = delta.assign(sign=told)
    order = list(dict.fromkeys(table["factor"]))
    wide = table.pivot_table(
        index=[name for name in names if name != "factor"],
        columns="factor",
        values="sign",
        aggfunc="first",
        sort=False,
    )
    return wide.reindex(columns=order).fillna("").reset_index().rename_axis(columns=None)


def _counted(summaries: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that every table has."""
    frame = summaries.copy()
    after = list(frame.columns).index("run")
    for name, value in (("baseline", ""), ("n_baseline", 0), ("n_runs", 1)):
        if name not in frame:
            frame.insert(after, name, value)
    return frame
