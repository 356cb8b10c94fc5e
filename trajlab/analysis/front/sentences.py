"""What the verdict says of fronts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trajlab.analysis.front.pareto import MOST_ON_GRID
from trajlab.analysis.front.tables import SAME_RUNS
from trajlab.analysis.interface.sentence import FEWEST_RUNS, Row, Sentence, Statement
from trajlab.analysis.interface.tables import records
from trajlab.analysis.interface.words import estimate
from trajlab.lazy import pd


def sentences(distance: pd.DataFrame) -> Iterator[Sentence]:
    """Yield whether each method's front lies beyond that of the baseline.

    Parameters
    ----------
    distance
        Table of :func:`trajlab.analysis.front`.
    """
    for row in records(distance):
        yield Sentence(row, "", of_front(row))


def of_flips(flips: pd.DataFrame, distance: pd.DataFrame, objectives: int) -> Iterator[Sentence]:
    """Yield that flips were sampled, where their weights are too many for a grid.

    Parameters
    ----------
    flips, distance
        Tables of :func:`trajlab.analysis.front`.
    objectives
        How many there are.
    """
    if objectives <= MOST_ON_GRID or flips.empty:
        return
    if distance["fewest_runs"].min() < FEWEST_RUNS:
        return
    pairs = flips.groupby(["setting", "method", "baseline"], sort=False)["flips"].any()
    numbers = {"n_flipping": int(pairs.sum()), "n_pairs": len(pairs), "n_objectives": objectives}
    text = (
        f"Whether the better of two methods changes with the weights of {objectives} objectives "
        "was sampled, on the lines from equal weights to each objective alone: of "
        f"{numbers['n_pairs']} pairs of methods {numbers['n_flipping']} flip there; elsewhere "
        "others may."
    )
    yield Sentence(records(flips)[0], "", (text, numbers))


def of_front(row: Row) -> Statement:
    """Say whether a method's front lies beyond that of the baseline.

    Parameters
    ----------
    row
        A row of the table `distance` of `front`.
    """
    numbers = {name: row[name] for name in ("signed_distance", "low", "high", "n_chosen")}
    numbers["fewest_runs"] = row["fewest_runs"]
    fronts = f"the front of {row['method']} lies beyond that of {row['baseline']}"
    if np.isnan(row["signed_distance"]):
        return f"Whether {fronts} cannot be told: {row['reason']}.", numbers
    distance = f"signed distance {estimate(row, 'signed_distance')}"
    doubt = f"; {row['reason']}" if row["reason"] else ""
    if row["fewest_runs"] < FEWEST_RUNS:
        few = f"a chosen configuration has n = {int(row['fewest_runs'])}"
        return (
            f"Descriptive only ({few}): {distance} of {fronts.split(' lies')[0]}{doubt}.",
            numbers,
        )
    if SAME_RUNS in row["reason"]:
        of = fronts.removeprefix("the ").replace(" lies beyond that of", " to that of")
        return (
            f"Signed distance of the {of}, above 0 beyond it: {estimate(row, 'signed_distance')}, "
            f"of these configurations only{doubt}, so no finding of its own.",
            numbers,
        )
    only = "of these configurations only, others chosen anew may not"
    if row["low"] > 0:
        return f"{fronts[0].upper()}{fronts[1:]}, {only}: {distance}{doubt}.", numbers
    if row["high"] < 0:
        inside = fronts.replace("beyond", "inside")
        return f"{inside[0].upper()}{inside[1:]}, {only}: {distance}{doubt}.", numbers
    return f"Whether {fronts} cannot be told: {distance}{doubt}.", numbers
