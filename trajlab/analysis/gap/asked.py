"""What the verdict says of the gap at losses of the user's own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.interface.sentence import FEWEST_RUNS, TOLD_SINGLY, Row, Sentence, Statement
from trajlab.analysis.interface.tables import records
from trajlab.analysis.interface.words import estimate
from trajlab.lazy import pd


def of_asked(part: pd.DataFrame) -> Iterator[Sentence]:
    """Yield the gap at each loss that was asked for; of many tasks only the table tells.

    Parameters
    ----------
    part
        Rows of one group and metric in ``at`` of :func:`trajlab.analysis.gap`.
    """
    if part["task"].nunique() <= TOLD_SINGLY:
        for row in records(part):
            yield Sentence(row, row["task"], of_value(row))


def of_value(row: Row) -> Statement:
    """Say what the gap is at one loss; never a finding, for nobody adjusts what users ask.

    Parameters
    ----------
    row
        A row of the table.
    """
    where = Axis.of(row).equal(row["at"])
    if np.isnan(row["gap"]):
        return f"At {where}, as asked: no gap is read; {row['reason']}.", {"at": row["at"]}
    numbers = {name: row[name] for name in ("at", "gap", "low", "high")}
    n, n_baseline = int(row["n_runs"]), int(row["n_baseline"])
    told = f"the gap of {row['split']} {row['metric']}".replace("of  ", "of ")
    if min(n, n_baseline) < FEWEST_RUNS:
        text = f"Descriptive only (n = {n} against {n_baseline}): at {where}, as asked, {told} is"
        return f"{text} {row['gap']:+.3g}.", numbers
    read = estimate(row, "gap")
    return (
        f"At {where}, as asked, {told} is {read}; read by itself, no finding of its own.",
        numbers,
    )
