"""Association of run summaries, or of the columns of a table, over independent units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from trajlab.analysis.correlate.options import Adjustment, CorrelateOptions, Interval
from trajlab.analysis.correlate.points import correlate_points, environment_frame
from trajlab.analysis.correlate.sentences import sentences
from trajlab.analysis.correlate.units import average
from trajlab.analysis.interface.options import ScoreOptions
from trajlab.analysis.interface.result import Family, Result
from trajlab.analysis.interface.sentence import Sentence
from trajlab.analysis.interface.tables import GROUP_KEYS
from trajlab.analysis.runs.groups import Group, group, one_task
from trajlab.analysis.runs.recorded import evaluated
from trajlab.analysis.runs.table import read_table
from trajlab.analysis.summary import summarise_runs
from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store import Trajectory

_DEPENDENT = {"epoch", "run", "seed", "step"}  # columns of rows that share a run or configuration
_ROW = "row of the table"
_FEWEST_WAYS = 3  # ways of training that a diagnosis correlates


@dataclass(frozen=True, kw_only=True)
class Correlation(Result):
    """What :func:`correlate` returns.

    Attributes
    ----------
    correlations
        One row a setting, task, metric, group and statistic.
    points
        One row a unit: what the correlations were computed from.
    environments
        With `axes`, one row a directed pair of configurations: the distribution of the sign error.
    """

    options: CorrelateOptions
    correlations: pd.DataFrame
    points: pd.DataFrame
    environments: pd.DataFrame

    def sentences(self, _: float | None = None, /) -> Iterator[Sentence]:
        """Yield whether the two columns go together."""
        yield from sentences(self.correlations, self.options.confidence)


def correlate(
    runs: Iterable[Trajectory] | None = None,
    *,
    x: str,
    y: str,
    table: str | pd.DataFrame | None = None,
    unit: str | None = None,
    within: str | None = None,
    given: str | None = None,
    axes: Sequence[str] = (),
    metric: str | None = None,
    split: str = "test",
    selection_split: str = "validation",
    interval: Interval = "fisher",
    adjustment: Adjustment = "holm",
    margin: float | None = None,
    test_size: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    group_by: Sequence[str] = (),
) -> Correlation:
    """Correlations over independent units, with permutation tests and what they could detect.

    Pearson, Spearman and Kendall (τ-b); with `axes` also granulated Kendall, the sign error and its
    worst case, and conditional mutual information. A unit is what was varied independently. Values
    are averaged over the runs of a unit first, because seeds of one configuration taken as
    independent give false positives: .06 to .24 at a nominal .05 for 10 configurations of 3 seeds.
    Tasks and settings are not pooled: each gives a row, whose p-values are adjusted over the rows
    of a statistic.

    Parameters
    ----------
    runs
        Recorded runs; or give `table`.
    x, y
        Columns: of the run summary (`final_metric, min_train_loss, sharpness,
        gradient_covariance, fisher, hessian_top, similarity, excess_similarity, mean_cosine,
        share_conflicting`, or numeric metadata), or of `table`.
    table
        A CSV file with a header, or in Python a DataFrame, instead of runs; columns `setting` and
        `task` have their meaning.
    unit
        The column that names units. If not given: the group of a run (with its `axes`), or the run
        itself where there is one group only; each row of `table`, or each point of its `axes`.
    within
        A column whose every value gives rows of its own.
    given
        A column to hold fixed; units are exchanged within equal values only. Correlations are
        partial, or where the column is text or its values repeat, within its strata.
    axes
        Columns of hyper-parameters that units form a grid of.
    metric, split, selection_split
        As in :func:`trajlab.analysis.factors`.
    interval
        Fisher's z, or a BCa bootstrap over units (not below 20 units).
    adjustment
        Of the p-values: Holm's method, or Benjamini and Hochberg's.
    margin
        A correlation that does not matter: with it, two one-sided tests that the correlation lies
        within ± it.
    test_size
        Items in the test set, for Hoeffding's weights of the sign error where y is a rate.
    confidence, seed, group_by
        As in :func:`trajlab.analysis.gap`.

    Returns
    -------
    Correlation
        Tables `correlations`, `points` and, of a grid, `environments`.

    Raises
    ------
    TrajlabError
        If there are both or neither of runs and table, a column is missing or not numeric, an
        option is unknown, or the table cannot be read.

    Examples
    --------
    >>> import trajlab
    >>> runs = trajlab.datasets.load("digits-fronts")
    >>> keys = ["stage", "weight", "lr"]
    >>> axes = {"x": "min_train_loss", "y": "final_metric"}
    >>> found = trajlab.analysis.correlate(runs, **axes, group_by=keys).correlations
    >>> found[["task", "statistic", "estimate"]].round(2)
         task statistic  estimate
    0   digit   pearson     -0.99
    1   digit  spearman     -0.97
    2   digit   kendall     -0.88
    3  parity   pearson     -0.97
    4  parity  spearman     -0.85
    5  parity   kendall     -0.81
    """
    if (runs is None) == (table is None):
        raise TrajlabError("give either runs or a table to correlate")
    options = CorrelateOptions(
        x=x,
        y=y,
        table=None,
        unit=unit or "",
        within=within,
        given=given,
        axes=axes,
        metric=metric,
        split=split,
        selection_split=selection_split,
        interval=interval,
        adjustment=adjustment,
        margin=margin,
        test_size=test_size,
        confidence=confidence,
        seed=seed,
        group_by=group_by,
    )
    name = None
    if runs is not None:
        named = [name for name in (unit, *axes) if name and name not in (*GROUP_KEYS, *group_by)]
        keys = tuple(dict.fromkeys((*group_by, *named)))
        rows = summarise_runs(group(runs, keys), metric, split, selection_split)
        units = [unit] if unit else list(dict.fromkeys(["condition", "method", *group_by, *axes]))
        if unit is None and len(rows[["setting", *units]].drop_duplicates()) == 1:
            units = ["run"]
    else:
        rows, name = read_table("" if table is None else table)
        units = [unit] if unit else list(axes)
    scored = runs is not None and "final_metric" in (x, y, given)
    if runs is not None and not scored:  # the other numbers of a run are the same for every metric
        rows = rows.drop_duplicates(["run", "task"])
    told = {"within": within, "given": given, "metric": "metric" if scored else None}
    points = average(rows, x, y, units, axes=axes, **told)
    singly = rows.assign(**{_ROW: range(len(rows))})
    singly = average(singly, x, y, [*units, _ROW], axes=axes, **told)
    correlations = correlate_points(points, singly, options)
    if not units and not _DEPENDENT.isdisjoint(rows):
        doubt = "each row is taken as independent: name the unit if rows are checkpoints or seeds"
        correlations["reason"] = [f"{r}; {doubt}" if r else doubt for r in correlations["reason"]]
    resolved = replace(options, table=name, unit=", ".join(units) or "row")
    return Correlation(
        options=resolved,
        correlations=correlations,
        points=points,
        environments=environment_frame(singly, options) if axes else pd.DataFrame(),
    )


def requires(groups: Sequence[Group], options: ScoreOptions) -> str:
    """Return why nothing is correlated: too few ways of training have gradients and metrics."""
    ways = [group for group in groups if len(group.tasks) > 1]
    runs = [run for group in groups for run in group.runs]
    measured = [way for way in ways if any("gradients" in run.tables for run in way.runs)]
    if len(measured) >= _FEWEST_WAYS and any(evaluated(run, options.split) for run in runs):
        return ""
    few = f"fewer than {_FEWEST_WAYS} ways of training several tasks have gradients and metrics"
    return one_task(groups) or few


def settings(groups: Sequence[Group]) -> dict[str, str | None]:
    """Return what a diagnosis correlates; its interval and margin are those of differences."""
    del groups
    return {"x": "mean_cosine", "y": "final_metric", "interval": "fisher", "margin": None}


FAMILY = Family(correlate, requires, settings)
