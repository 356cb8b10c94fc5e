"""What the verdict says of where a difference comes from: its terms, each by its own test."""

from collections.abc import Iterator

import numpy as np

from trajlab.analysis.gap.basis import without_logarithm
from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.interface.sentence import Row, Statement
from trajlab.analysis.interface.words import term, term_numbers


def apportion(row: Row, level: float) -> Iterator[Statement]:
    """Say where Δ comes from, term by term; nothing where Δ is not established.

    Parameters
    ----------
    row
        A row of the adjusted summary.
    level
        Of the tests.
    """
    if not row["delta_p_adjusted"] < level:
        return
    if np.isnan(row["common_loss"]):
        return  # said of the overlap
    if np.isnan(row["matched"]):
        where = Axis.of(row).equal(row["common_loss"])
        yield f"Δ cannot be apportioned: evaluations lie too far apart at {where}.", {}
        return
    names = ("matched", "reach", "selection")
    sure = {name: bool(row[f"{name}_p_adjusted"] < level) for name in names}
    along = {name: np.sign(row[name]) == np.sign(row["delta"]) for name in names}
    if sure["matched"]:
        yield _of_matched(row, along=bool(along["matched"]))
    if sure["reach"] and along["reach"] and not (sure["matched"] and along["matched"]):
        yield _of_reach(row)
    if sure["selection"]:
        yield _of_selection(row, along=bool(along["selection"]))
    if not (sure["matched"] or sure["selection"] or (sure["reach"] and along["reach"])):
        # The intervals are single ones: one may exclude 0 where the tests together do not.
        doubt = {
            name: f" (with the other tests, p = {row[f'{name}_p_adjusted']:.2g})"
            for name in names
            if not sure[name] and row[f"{name}_p"] < level
        }
        places = {
            "matched": f"at {Axis.of(row).equal(row['common_loss'])}",
            "reach": "from training beyond it",
            "selection": "from the choice of checkpoint",
        }
        terms = ", ".join(
            f"{places[name]} {term(row, name)}{doubt.get(name, '')}" for name in names
        )
        numbers = {key: value for name in names for key, value in term_numbers(row, name).items()}
        yield f"Δ cannot be apportioned: {terms}.", numbers


def _of_matched(row: Row, *, along: bool) -> Statement:
    """Say that a gap is there at equal loss, if every way to read it has its sign."""
    axis = Axis.of(row)
    loss = axis.equal(row["common_loss"])
    bracket = {name: row[f"matched_{name}_passage"] for name in ("first", "last")}
    read = ", ".join(f"{value:+.3g} by {name} passage" for name, value in bracket.items())
    found = f"{term(row, 'matched')} ({read})"
    numbers = term_numbers(row, "matched") | {"common_loss": row["common_loss"]}
    numbers |= {f"matched_{name}_passage": value for name, value in bracket.items()}
    unread = [name for name, value in bracket.items() if np.isnan(value)]
    if unread:
        known = f"{term(row, 'matched')}, without a value by {' and '.join(unread)} passage"
        return f"Whether a gap is at {loss} cannot be told: {known}.", numbers
    if any(np.sign(value) != np.sign(row["matched"]) for value in bracket.values()):
        return f"Whether a gap is at {loss} depends on when that is read: {found}.", numbers
    if not along:
        return f"At {loss} the gap has the other sign: {found}.", numbers
    onset = ""
    if row["sign"] == np.sign(row["matched"]):
        way = "down" if axis.is_loss else "on"
        shared = "loss" if axis.is_loss else axis.name
        shared += " above 0" if without_logarithm(row) else ""
        onset = f", significant at every common {shared} from {row['onset_loss']:.2g} {way}"
        numbers["onset_loss"] = row["onset_loss"]
    return f"A gap is present at {loss}: {found}{onset}.", numbers


def _of_reach(row: Row) -> Statement:
    """Say what training beyond L_c adds: one side went further, or the other got worse."""
    axis, improved = Axis.of(row), row["delta"] > 0
    where = axis.equal(row["common_loss"])
    worse = row["baseline"] if improved else f"method={row['method']}"
    reached = "reach_of_baseline" if improved else "reach_of_runs"
    text = term(row, "reach")
    keys = [
        f"{name}{end}" for name in ("lowest_loss_ratio", reached) for end in ("", "_low", "_high")
    ]
    numbers = term_numbers(row, "reach") | {key: row[key] for key in keys}
    if row[f"{reached}_high"] < 0:
        return (
            f"The gap appears after {where}: {text}; "
            f"{worse} got worse after passing it, by {term(row, reached)}, as in overfitting.",
            numbers,
        )
    ratio = {end: row[f"lowest_loss_ratio{end}"] for end in ("", "_low", "_high")}
    if ratio["_high"] < 1 if improved else ratio["_low"] > 1:
        times = (
            ratio
            if not improved
            else {"": 1 / ratio[""], "_low": 1 / ratio["_high"], "_high": 1 / ratio["_low"]}
        )
        attained = "loss" if axis.is_loss else axis.name
        lowest = f"the lowest {axis.name} of {worse} is"
        other = "the other's: test longer training"
        other += " or a larger weight" if row.get("beside", 1) else ""
        if not axis.is_loss:
            lowest, other = "the other side trained for", f"the {axis.name} of {worse}"
        return (
            f"The gap appears with the difference in attained {attained}: {text}; {lowest} "
            f"{times['']:.2g} [{times['_low']:.2g}, {times['_high']:.2g}] times {other}.",
            numbers,
        )
    return (
        f"The gap appears after {where}: {text}; that "
        "one side went further or the other got worse is not told apart.",
        numbers,
    )


def _of_selection(row: Row, *, along: bool) -> Statement:
    """Say what the choice of checkpoints does to the difference."""
    at_end = row["delta"] - row["selection"]
    begin = "Of Δ, " if along else "Against the sign of Δ, "
    return (
        f"{begin}{term(row, 'selection')} comes from the choice of checkpoint: the last "
        f"evaluations differ by {at_end:+.3g}.",
        term_numbers(row, "selection") | {"at_end": at_end},
    )
