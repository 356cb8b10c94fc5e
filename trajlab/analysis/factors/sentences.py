"""What the verdict says of factors; never that one was the cause of anything."""

from collections.abc import Iterator, Sequence

import pandas as pd

from trajlab.analysis.factors.quadrants import END
from trajlab.analysis.result import TOLD_SINGLY, Row, Sentence, Statement, estimate
from trajlab.analysis.statistics.multiplicity import holm
from trajlab.analysis.tables import records


def sentences(delta: pd.DataFrame, keys: Sequence[str], confidence: float) -> Iterator[Sentence]:
    """Yield which factors differ at equal loss, adjusted over the tasks of a group.

    Parameters
    ----------
    delta
        Table of :func:`trajlab.analysis.factors`.
    keys
        Columns that name a group.
    confidence
        Coverage of its intervals; its complement is the level of the tests.
    """
    matched = delta[(delta["at"] != END) & delta["p_value"].notna()]
    for (*_, factor), part in matched.groupby([*keys, "factor"], sort=False):
        adjusted = records(part.assign(p_adjusted=holm(part["p_value"])))
        differ = [row for row in adjusted if row["p_adjusted"] < 1 - confidence]
        if len(adjusted) > TOLD_SINGLY and differ:
            yield Sentence(adjusted[0], "", of_factors(str(factor), differ, len(adjusted)))
            continue
        for row in differ:
            yield Sentence(row, row["task"], of_factor(row))


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
