"""What differs between groups of runs besides the metric: factors, at the end and at equal loss."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trajlab.analysis.factors.deltas import delta_rows
from trajlab.analysis.factors.options import FactorOptions
from trajlab.analysis.factors.quadrants import factor_names, quadrant_frame
from trajlab.analysis.factors.sentences import sentences
from trajlab.analysis.interface.axis import LOSS, TRAINING
from trajlab.analysis.interface.options import BASELINE, Options, Rule
from trajlab.analysis.interface.result import Family, Result
from trajlab.analysis.interface.sentence import Sentence
from trajlab.analysis.interface.tables import Head, group_columns
from trajlab.analysis.runs import groups
from trajlab.analysis.runs.recorded import quantities
from trajlab.analysis.summary import CHECKPOINTS, FACTORS, summarise_runs
from trajlab.lazy import pd
from trajlab.store import Trajectory


@dataclass(frozen=True, kw_only=True)
class Factors(Result):
    """What :func:`factors` returns.

    Attributes
    ----------
    runs
        One row a run, task and metric: the numbers that stand for it.
    delta
        One row a comparison, factor and place: the difference to the baseline.
    quadrants
        One row a metric, factor, method and place: how often the factor moved as the metric did.
    signs
        One row a comparison and place, one column a factor: for the better, or for the worse.
    """

    options: FactorOptions
    runs: pd.DataFrame
    delta: pd.DataFrame
    quadrants: pd.DataFrame
    signs: pd.DataFrame

    def sentences(self, _: float | None = None, /) -> Iterator[Sentence]:
        """Yield which factors differ at equal training loss."""
        yield from sentences(self.delta, self.options.keys, self.options.confidence)


def factors(
    runs: Iterable[Trajectory],
    *,
    baseline: Mapping[str, str] = BASELINE,
    against: Mapping[str, str] | None = None,
    metric: str | None = None,
    split: str = "test",
    selection_split: str = "validation",
    best: int | None = None,
    last: int = CHECKPOINTS,
    largest: int = CHECKPOINTS,
    x: str = LOSS,
    loss: str = TRAINING,
    at: Sequence[float] = (),
    rule: Rule = "isotonic",
    confidence: float = 0.95,
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
        The metric that factors are held against; every metric recorded on `split` if not given.
    best
        Evaluations best on `selection_split` whose mean is the metric; a tenth if not given,
        10 by the paper's rule.
    last
        Last values of sharpness, gradient covariance and top Hessian eigenvalue that are averaged.
    largest
        Largest values of the Fisher trace that are averaged.
    x, loss
        As in :func:`trajlab.analysis.gap`.
    at
        Losses (or values of the clock) to compare factors at; the lowest that all runs' curves
        share if not given.
    rule, confidence, group_by
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

    Examples
    --------
    >>> import trajlab
    >>> found = trajlab.analysis.factors(trajlab.datasets.load("digits-two-tasks")).delta
    >>> found = found[(found["factor"] == "sharpness") & (found["task"] == "first")]
    >>> found[["condition", "at", "delta"]].round(3)
       condition        at  delta
    2     +noisy       end  0.033
    6     +noisy  0.008609  0.027
    22     +same       end -0.000
    26     +same  0.001328  0.000
    """
    options = FactorOptions(
        baseline=baseline,
        against=against,
        metric=metric,
        split=split,
        selection_split=selection_split,
        best=best,
        last=last,
        largest=largest,
        x=x,
        loss=loss,
        at=at,
        rule=rule,
        confidence=confidence,
        group_by=group_by,
    )
    grouped = groups.group(runs, options.group_by)
    summaries = summarise_runs(grouped, metric, split, selection_split, options.counts)
    delta = pd.DataFrame(
        row
        for comparison in groups.compare(grouped, baseline, against)
        for row in delta_rows(comparison, summaries, options)
    )
    rows = Head(keys={}, task="", n_runs=1).above(summaries)  # each tells its keys itself
    return Factors(
        options=options,
        runs=rows[list(dict.fromkeys([*options.keys, *rows]))],
        delta=delta,
        quadrants=quadrant_frame(delta, confidence, group_by=options.group_by),
        signs=sign_frame(delta, options.group_by),
    )


def sign_frame(delta: pd.DataFrame, group_by: Sequence[str] = ()) -> pd.DataFrame:
    """Return one row a comparison and place, with the direction of each factor.

    Parameters
    ----------
    delta
        As :func:`factors` makes it.
    group_by
        Columns that tell groups apart, next to `setting`, `condition` and `method`.

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
    table = delta.assign(sign=told, factor=factor_names(delta))
    order = list(dict.fromkeys(table["factor"]))
    wide = table.pivot_table(
        index=[*group_columns(group_by), "task", "baseline", "at"],
        columns="factor",
        values="sign",
        aggfunc="first",
        sort=False,
    )
    return wide.reindex(columns=order).fillna("").reset_index().rename_axis(columns=None)


def requires(grouped: Sequence[groups.Group], options: Options) -> str:
    """Return why there are no factors: fewer than two groups, or none was recorded."""
    del options
    wanted = [quantity for quantity, _ in FACTORS.values()]
    recorded = quantities(run for group in grouped for run in group.runs)
    absent = "" if set(wanted) & set(recorded) else f"no run recorded {', '.join(wanted)}"
    return groups.alone(grouped) or absent


FAMILY = Family(factors, requires)
