"""What the verdict says of correlations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trajlab.analysis.interface.sentence import Row, Sentence, Statement
from trajlab.analysis.interface.tables import records
from trajlab.analysis.interface.words import estimate
from trajlab.lazy import pd


def sentences(correlations: pd.DataFrame, confidence: float) -> Iterator[Sentence]:
    """Yield whether two columns go together over independent units; the ranks speak.

    Parameters
    ----------
    correlations
        Table of :func:`trajlab.analysis.correlate`.
    confidence
        Coverage of its intervals; its complement is the level of the tests.
    """
    for row in records(correlations[correlations["statistic"] == "spearman"]):
        yield Sentence(row, row["task"], of_correlation(row, confidence))


def of_correlation(row: Row, confidence: float) -> Statement:
    """Say whether two columns go together over independent units.

    Parameters
    ----------
    row
        A row of the table `correlations`.
    confidence
        Coverage of its interval; its complement is the level of the test.
    """
    names = " and ".join(_named(row, row[axis]) for axis in "xy")
    numbers = {name: row[name] for name in ("estimate", "low", "high", "p_adjusted", "n")}
    units = f"over {int(row['n'])} units"
    if np.isnan(row["estimate"]):
        return f"Whether {names} go together {units} cannot be told: {row['reason']}.", numbers
    text = f"{row['statistic'].title()} {estimate(row, 'estimate')}"
    text += f", p = {row['p_adjusted']:.2g}, the smallest possible {row['smallest_p']:.2g}"
    if row["p_adjusted"] >= 1 - confidence:
        return f"Whether {names} go together {units} cannot be told ({text}).", numbers
    way = "together" if row["estimate"] > 0 else "against each other"
    return f"{names[0].upper()}{names[1:]} go {way} {units} ({text}).", numbers


def _named(row: Row, column: str) -> str:
    """Write a column's name, of the final metric also which one that is."""
    name = column.replace("_", " ")
    metric = row.get("metric", "")
    return f"{name} ({metric})" if metric and column == "final_metric" else name
