"""What the verdict says of factors; never that one was the cause of anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from trajlab.analysis.factors.quadrants import END, METRIC
from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.interface.sentence import FEWEST_RUNS, TOLD_SINGLY, Row, Sentence, Statement
from trajlab.analysis.interface.tables import records
from trajlab.analysis.interface.words import estimate
from trajlab.analysis.statistics.multiplicity import holm
from trajlab.lazy import pd


def sentences(delta: pd.DataFrame, keys: Sequence[str], confidence: float) -> Iterator[Sentence]:
    """Yield which factors differ at equal loss, where the metric differs, and what is not read.

    Parameters
    ----------
    delta
        Table of :func:`trajlab.analysis.factors`.
    keys
        Columns that name a group.
    confidence
        Coverage of its intervals; its complement is the level of the tests.
    """
    told = adjust(delta, keys, 1 - confidence)
    for _, part in told.groupby([*keys, "factor", "metric"], sort=False):
        adjusted = records(part)
        differ = [row for row in adjusted if row["p_adjusted"] < 1 - confidence]
        if len(differ) > TOLD_SINGLY:
            yield Sentence(adjusted[0], "", of_factors(differ[0]["factor"], differ, len(adjusted)))
            continue
        for row in differ:
            yield Sentence(row, row["task"], of_factor(row))
    for _, part in delta.groupby([*keys, "baseline"], sort=False):
        for statement in of_no_logarithm(part):
            yield Sentence(records(part)[0], "", statement)


def adjust(delta: pd.DataFrame, keys: Sequence[str], level: float) -> pd.DataFrame:
    """Return the rows at equal loss that are tested, with `p_adjusted`.

    Factors are held against a difference of the metric: they are told where that is established by
    Holm's method over tasks, metrics and methods that share a baseline, and adjusted alike over all
    their own tests. Fewer than three runs a side, and runs that do not differ, test nothing.

    Parameters
    ----------
    delta, keys
        As in :func:`sentences`.
    level
        Of the tests.

    Returns
    -------
    DataFrame
        Its column `metric` names the metrics that differ.
    """
    enough = delta[["n_runs", "n_baseline"]].min(axis=1) >= FEWEST_RUNS
    tested = delta[enough & delta["p_value"].notna()].assign(p_adjusted=np.nan)
    scores = (tested["factor"] == METRIC) & (tested["at"] == END)
    for rows in (tested[scores], tested[tested["at"] != END]):
        for _, family in rows.groupby(["setting", "baseline"], sort=False):
            tested.loc[family.index, "p_adjusted"] = holm(family["p_value"])
    names = [*keys, "task", "baseline"]
    differ = tested[scores & (tested["p_adjusted"] < level)]
    metrics = differ.groupby(names, sort=False)["metric"].agg(" and ".join).reset_index()
    return tested[tested["at"] != END].drop(columns="metric").merge(metrics, on=names)


def of_factor(row: Row) -> Statement:
    """Say that a factor differs at equal training loss, and how little that shows.

    Parameters
    ----------
    row
        A row of the table `delta` of `factors`, read at a loss.
    """
    known = np.isfinite(row["ratio"])
    times = f", {row['ratio']:.2g} times the baseline's" if known else ""
    differ = "differ" if " and " in row["metric"] else "differs"
    sentence = (
        f"{_name(row['factor'])} differs at {Axis.of(row).equal(float(row['at']))}: "
        f"{estimate(row, 'delta')}{times}. In the end {row['metric']} {differ} too, but one "
        "setting cannot show cause."
    )
    return sentence, {key: row[key] for key in ("delta", "low", "high", "p_adjusted", "ratio")}


def of_factors(factor: str, differ: Sequence[Row], total: int) -> Statement:
    """Say on how many of many tasks a factor differs at equal training loss.

    Parameters
    ----------
    factor
        Name of the factor.
    differ
        Rows of the tasks on which it does.
    total
        Tasks on which it was compared.
    """
    more = sum(row["delta"] > 0 for row in differ)
    axis = Axis.of(differ[0])
    sentence = (
        f"{_name(factor)} differs at equal {axis.name} on {len(differ)} of {total} "
        f"tasks where in the end {differ[0]['metric']} differs too, larger on {more} and smaller "
        f"on {len(differ) - more}; one setting cannot show cause; trajlab factors lists all."
    )
    return sentence, {"n_larger": more, "n_smaller": len(differ) - more, "n_tasks": total}


def of_no_logarithm(part: pd.DataFrame) -> Iterator[Statement]:
    """Say how many values of factors have no place at equal loss, so that not all are read there.

    Parameters
    ----------
    part
        Rows of the table `delta` of a group and its baseline.
    """
    # a factor that is read at several losses has a row for each, all with the same counts
    read = part[part["at"] != END].drop_duplicates(["task", "factor"])
    counts = read[["n_no_logarithm", "n_no_logarithm_baseline"]].sum(axis=1)
    if number := int(counts.sum()):
        left_out = read[counts > 0]
        names = ", ".join(dict.fromkeys(_name(factor) for factor in left_out["factor"]))
        axis = Axis.of(records(left_out)[0])
        yield (
            f"{names}: at equal {axis.name} only losses above 0 are compared; {number} evaluations "
            "have one at or below 0, which has no logarithm; --x step compares them all.",
            {"n_no_logarithm": number},
        )


def _name(factor: str) -> str:
    """Return what a factor is called at the beginning of a sentence."""
    names = {"fisher": "Fisher trace", "hessian_top": "Top Hessian eigenvalue"}
    return names.get(factor, factor.replace("_", " ").capitalize())
