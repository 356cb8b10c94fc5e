"""What the verdict says a comparison stands on: the losses, steps and runs that both sides have."""

from collections.abc import Iterator
from math import log10

import numpy as np

from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.interface.sentence import Row, Statement
from trajlab.analysis.interface.words import term

_LEFT_OUT = ("incomplete", "diverged", "unevaluated")


def of_lone_run(row: Row) -> Iterator[Statement]:
    """Name the run that alone keeps the common loss high, with the numbers without it.

    Parameters
    ----------
    row
        A row of the adjusted summary.
    """
    if np.isnan(row["delta_without"]):
        return
    ends = ("", "_low", "_high")
    keys = [f"{name}_without{end}" for name in ("delta", "matched") for end in ends]
    axis = Axis.of(row)
    farthest = f"{'lowest' if axis.is_loss else 'largest'} {axis.name} common to all runs"
    begin = f"No {axis.name} is common to all runs because of one alone, {row['common_loss_run']}"
    if np.isfinite(row["common_loss"]):
        begin = (
            f"The {farthest} is {axis.at(row['common_loss'])} because of one run alone, "
            f"{row['common_loss_run']}"
        )
    yield (
        f"{begin}; without it the {farthest} is {axis.at(row['common_loss_low'])}, Δ = "
        f"{term(row, 'delta_without')}, and the gap there {term(row, 'matched_without')}.",
        {key: row[key] for key in keys},
    )


def without_logarithm(row: Row) -> int:
    """Return how many evaluations of both sides have a loss at or below 0.

    Parameters
    ----------
    row
        As in :func:`of_lone_run`.
    """
    return sum(int(row.get(f"n_no_logarithm{end}", 0)) for end in ("", "_baseline"))


def of_no_logarithm(row: Row) -> Iterator[Statement]:
    """Say which evaluations have no place at equal loss, so that what is read there is not all.

    Parameters
    ----------
    row
        As in :func:`of_lone_run`.
    """
    if number := without_logarithm(row):
        yield (
            f"At equal {Axis.of(row).name} only losses above 0 are compared: {number} evaluations "
            "have one at or below 0, which has no logarithm; --x step compares them all.",
            {"n_no_logarithm": number},
        )


def of_overlap(row: Row) -> Iterator[Statement]:
    """Say how much of training equal losses cover, where that is little.

    Parameters
    ----------
    row
        A row of the adjusted summary.
    """
    axis, low, high = Axis.of(row), row["overlap_low"], row["overlap_high"]
    if np.isnan(low) and not np.isnan(row["delta_without"]):
        return  # said of the run that is alone
    if np.isnan(low):
        yield f"No {axis.name} is common to all runs, so nothing is compared there.", {}
    elif log10(high / low) < 1:
        numbers = {"overlap_low": low, "overlap_high": high}
        covered = f"L = {low:.2g} – {high:.2g}" if axis.is_loss else f"{low:.4g} – {high:.4g}"
        yield f"Equal {axis.name} covers only {covered}.", numbers


def of_steps(row: Row) -> Iterator[Statement]:
    """Say what the difference is at equal steps, and why it stands beside Δ.

    Parameters
    ----------
    row
        A row of the adjusted summary.
    """
    if not np.isfinite(row["at_equal_steps"]) or Axis.of(row).x == "step":
        return
    names = ("at_equal_steps", "at_equal_steps_low", "at_equal_steps_high", "last_common_step")
    apart = row["at_equal_steps"] * row["delta"] < 0
    other = ", of other sign than Δ, which is of other evaluations" if apart else ""
    yield (
        f"At equal steps (step {row['last_common_step']:.0f}, the last that all runs made) the "
        f"difference is {term(row, names[0])}{other}; shown because runs may train for unequal "
        "lengths, and no finding of its own.",
        {name: row[name] for name in names},
    )


def of_left_out(row: Row, begin: str = "Left out") -> Iterator[Statement]:
    """Count the runs that are not in a comparison, by why.

    Parameters
    ----------
    row
        A row of the adjusted summary.
    begin
        What the sentence begins with.
    """
    numbers: dict[str, int] = {}
    told = []
    for end in ("", "_baseline"):
        counts = {why: int(row.get(f"n_{why}{end}", 0)) for why in _LEFT_OUT}
        numbers |= {f"n_{why}{end}": number for why, number in counts.items()}
        told.append(" and ".join(f"{number} {why}" for why, number in counts.items() if number))
    if any(told):
        sentence = f"{begin}: {told[0] or 'no'} runs, and {told[1] or 'none'} of the baseline."
        yield sentence, numbers
