"""What the verdict says of factors; never that one was the cause of anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from trajlab.analysis.factors.quadrants import END, METRIC
from trajlab.analysis.result import FEWEST_RUNS, TOLD_SINGLY, Row, Sentence, Statement, estimate
from trajlab.analysis.statistics.multiplicity import holm
from trajlab.analysis.tables import records
from trajlab.lazy import pd


def sentences(delta: pd.DataFrame, keys: Sequence[str], confidence: float) -> Iterator[Sentence]:
    """Yield which factors differ at equal loss, where the metric differs.

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
    for _, part in told.groupby([*keys, "factor"], sort=False):
        adjusted = records(part)
        differ = [row for row in adjusted if row["p_adjusted"] < 1 - confidence]
        if len(differ) > TOLD_SINGLY:
            yield Sentence(adjusted[0], "", of_factors(differ[0]["factor"], differ, len(adjusted)))
            continue
        for row in differ:
            yield Sentence(row, row["task"], of_factor(row))


def adjust(delta: pd.DataFrame, keys: Sequence[str], level: float) -> pd.DataFrame:
    """Return the rows at equal loss that are tested, with `p_adjusted`.

    Factors are held against a difference of the metric: they are tested where it is established by
    Holm's method over tasks and methods that share a baseline, adjusted over the factors and losses
    of one comparison. Fewer than three runs a side, and runs that do not differ, test nothing.

    Parameters
    ----------
    delta, keys
        As in :func:`sentences`.
    level
        Of the tests.
    """
    enough = delta[["n_runs", "n_baseline"]].min(axis=1) >= FEWEST_RUNS
    tested = delta[enough & delta["p_value"].notna()]
    metric = tested[(tested["factor"] == METRIC) & (tested["at"] == END)].copy()
    for _, rows in metric.groupby(["setting", "baseline"], sort=False):
        metric.loc[rows.index, "p_adjusted"] = holm(rows["p_value"])
    names = [*keys, "task", "baseline"]
    if metric.empty:
        return tested.iloc[:0].assign(p_adjusted=np.nan)
    established = metric[metric["p_adjusted"] < level].set_index(names).index
    at_loss = tested[tested["at"] != END]
    at_loss = at_loss[at_loss.set_index(names).index.isin(established)].copy()
    at_loss["p_adjusted"] = np.nan
    for _, rows in at_loss.groupby(names, sort=False):
        at_loss.loc[rows.index, "p_adjusted"] = holm(rows["p_value"])
    return at_loss


def of_factor(row: Row) -> Statement:
    """Say that a factor differs at equal training loss, and how little that shows.

    Parameters
    ----------
    row
        A row of the table `delta` of `factors`, read at a loss.
    """
    name = row["factor"].replace("_", " ")
    sentence = (
        f"{name[0].upper()}{name[1:]} differs at equal training loss (L = {float(row['at']):.2g}): "
        f"{estimate(row, 'delta')}, {1 + row['relative']:.2g} times the baseline's; one setting "
        "cannot show cause."
    )
    return sentence, {key: row[key] for key in ("delta", "low", "high", "p_adjusted", "relative")}


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
    name = factor.replace("_", " ")
    more = sum(row["delta"] > 0 for row in differ)
    sentence = (
        f"{name[0].upper()}{name[1:]} differs at equal training loss on {len(differ)} of {total} "
        f"tasks, larger on {more} and smaller on {len(differ) - more}; one setting cannot show "
        "cause; trajlab factors lists all."
    )
    return sentence, {"n_larger": more, "n_smaller": len(differ) - more, "n_tasks": total}
