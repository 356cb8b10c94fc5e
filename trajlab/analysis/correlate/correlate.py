"""Association of run summaries, or of the columns of a table, over independent units."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from trajlab.analysis.correlate.association import STATISTICS, associate
from trajlab.analysis.correlate.granulation import (
    conditional_information,
    granulated_kendall,
    sign_error,
)
from trajlab.analysis.correlate.units import PLACE, average, common, read_table
from trajlab.analysis.options import check_choice, check_confidence
from trajlab.analysis.result import Result
from trajlab.analysis.runs.groups import GROUP_KEYS, group
from trajlab.analysis.statistics.multiplicity import ADJUSTMENTS
from trajlab.analysis.statistics.resampling import RESAMPLES
from trajlab.analysis.summary import summarise_runs
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory

_DEPENDENT = {"epoch", "run", "seed", "step"}  # columns of rows that share a run or configuration
_INTERVALS = {"fisher": "Fisher z", "bootstrap": "BCa bootstrap over units"}


@dataclass(frozen=True, kw_only=True)
class Correlation(Result):
    """What :func:`correlate` returns.

    Attributes
    ----------
    correlations
        One row a setting, task, group and statistic.
    points
        One row a unit: what the correlations were computed from.
    """

    correlations: pd.DataFrame
    points: pd.DataFrame


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
    interval: Literal["fisher", "bootstrap"] = "fisher",
    adjustment: Literal["holm", "bh"] = "holm",
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
        A numeric column to hold fixed: correlations are partial, and units are exchanged within
        equal values only.
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
        Tables `correlations` and `points`.

    Raises
    ------
    TrajlabError
        If there are both or neither of runs and table, a column is missing or not numeric, an
        option is unknown, or the table cannot be read.
    """
    check_confidence(confidence)
    check_choice("interval", interval, _INTERVALS)
    check_choice("adjustment", adjustment, ADJUSTMENTS)
    if margin is not None and not 0 < margin < 1:
        raise TrajlabError(f"margin must lie between 0 and 1, not at {margin}")
    if (runs is None) == (table is None):
        raise TrajlabError("give either runs or a table to correlate")
    if given is not None and axes:
        raise TrajlabError("axes already hold each other fixed; leave out either axes or given")
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
    points = average(rows, x, y, units, within=within, given=given, axes=axes)
    options: dict[str, Any] = {
        "interval": interval,
        "adjustment": adjustment,
        "margin": margin,
        "test_size": test_size,
        "confidence": confidence,
        "seed": seed,
    }
    correlations = correlate_points(points, x, y, given=given, axes=axes, **options)
    if not units and not _DEPENDENT.isdisjoint(rows):
        doubt = "each row is taken as independent: name the unit if rows are checkpoints or seeds"
        correlations["reason"] = [f"{r}; {doubt}" if r else doubt for r in correlations["reason"]]
    settings = {
        "x": x,
        "y": y,
        "table": name,
        "unit": ", ".join(units) or "row",
        "within": within,
        "given": given,
        "axes": list(axes),
        "metric": metric,
        "split": split,
        "selection_split": selection_split,
        "test": f"permutation over units: all up to {RESAMPLES}, else so many drawn",
        **options,
        "interval": _INTERVALS[interval],
        "group_by": list(group_by),
    }
    return Correlation(settings=settings, correlations=correlations, points=points)


def correlate_points(
    points: pd.DataFrame,
    x: str,
    y: str,
    *,
    given: str | None = None,
    axes: Sequence[str] = (),
    interval: str = "fisher",
    adjustment: str = "holm",
    margin: float | None = None,
    test_size: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate the points of :func:`average`, one row a setting, task, group and statistic.

    Parameters
    ----------
    points
        One row a unit.
    x, y, given
        Names of the columns, written into the rows.
    axes, interval, adjustment, margin, test_size, confidence, seed
        As in :func:`correlate`.
    """
    rows = []
    values = ["x_value", "y_value", *(["given_value"] if given else [])]
    for (setting, task, stratum), part in points.groupby(PLACE, sort=False):
        known = part.dropna(subset=values)
        a, b, *held = (known[name].to_numpy(float) for name in values)
        found = {
            name: associate(
                *(a, b, name, confidence, seed),
                given=held[0] if held else None,
                interval=interval,
                margin=margin,
            )
            for name in STATISTICS
        }
        if axes:
            grid = known[[f"axis {axis}" for axis in axes]]
            found |= {
                "granulated_kendall": granulated_kendall(a, b, grid, seed),
                "sign_error": sign_error(a, b, grid, seed, test_size=test_size),
                "worst_sign_error": sign_error(a, b, grid, seed, test_size=test_size, worst=True),
                "conditional_information": conditional_information(a, b, grid, seed),
            }
        head = {
            "setting": setting,
            "condition": common(part["condition"]),
            "method": common(part["method"]),
            "task": task,
            "baseline": "",
            "n_baseline": 0,
            "n_runs": int(part["n_runs"].sum()),
            "x": x,
            "y": y,
            "group": stratum,
        }
        for statistic, result in found.items():
            told = asdict(result)
            numbers = {name: told.pop(name) for name in ("estimate", "low", "high", "p_value")}
            reason = told.pop("reason")
            rows.append(
                {
                    **head,
                    "statistic": statistic,
                    "given": ", ".join(axes) if statistic not in STATISTICS else given or "",
                    **numbers,
                    "p_adjusted": np.nan,
                    **{name: told[name] for name in ("n", "smallest_detectable", "smallest_p")},
                    "p_equivalence": told["p_equivalence"],
                    "n_excluded": int(part["n_excluded"].sum()),
                    "reason": reason,
                }
            )
    frame = pd.DataFrame(rows)
    for _, part in frame.groupby("statistic"):
        frame.loc[part.index, "p_adjusted"] = ADJUSTMENTS[adjustment](part["p_value"])
    return frame
