"""What the verdict says of the gap: each sentence is allowed by one line of the decision table.

A row holds one comparison: Δ and its three terms with `…_low`, `…_high` and the Holm-adjusted
`…_p_adjusted`. No sentence gives shares of terms, which may differ in sign, or a cause.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil, log10, sqrt

import numpy as np
import pandas as pd
from scipy import stats

from trajlab.analysis.gap.decomposition import TERMS
from trajlab.analysis.result import (
    FEWEST_RUNS,
    TOLD_SINGLY,
    Row,
    Sentence,
    Statement,
    span,
    term,
    term_numbers,
)
from trajlab.analysis.statistics.multiplicity import holm
from trajlab.analysis.tables import records

POWER = 0.8
_LEFT_OUT = ("n_incomplete", "n_diverged")


def sentences(
    summary: pd.DataFrame, keys: Sequence[str], margin: float | None, confidence: float
) -> Iterator[Sentence]:
    """Yield few tasks each in full; of many the sum, then the clearest of those that differ.

    Parameters
    ----------
    summary
        ``summary`` of :func:`trajlab.analysis.gap`.
    keys
        Columns that name a group.
    margin, confidence
        As in :func:`of_gap`.
    """
    for _, part in adjust(summary, keys).groupby([*keys, "metric"], sort=False):
        rows = records(part)
        compared = [row for row in rows if np.isfinite(row["delta"])]
        missing = [row for row in rows if not np.isfinite(row["delta"])]
        shown = compared
        if len(compared) > TOLD_SINGLY:
            yield Sentence(compared[0], "", of_many(compared, margin, confidence))
            enough = [r for r in compared if min(r["n_runs"], r["n_baseline"]) >= FEWEST_RUNS]
            clear = [r for r in enough if kind(r, None, confidence) != "unclear"]
            shown = sorted(clear, key=lambda row: float(row["delta_p"]))[:TOLD_SINGLY]
        for row in shown:
            for statement in of_gap(row, margin, confidence):
                yield Sentence(row, row["task"], statement)
        if len(missing) > TOLD_SINGLY:
            text = f"Not compared: {len(missing)} tasks, such as {missing[0]['task']}: "
            statement = f"{text}{missing[0]['reason']}.", {"n_tasks": len(missing)}
            yield Sentence(missing[0], "", statement)
        else:
            for row in missing:
                yield Sentence(row, row["task"], next(of_gap(row, margin, confidence)))


def adjust(summary: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Add `…_p_adjusted` for each term: Holm's method over the tasks of a group, for each metric.

    Parameters
    ----------
    summary, keys
        As in :func:`sentences`.
    """
    adjusted = summary.copy()
    for _, rows in summary.groupby([*keys, "metric"], sort=False):
        for name in TERMS:
            adjusted.loc[rows.index, f"{name}_p_adjusted"] = holm(rows[f"{name}_p"])
    return adjusted


def of_gap(row: Row, margin: float | None, confidence: float) -> Iterator[Statement]:
    """Say what one comparison shows.

    Parameters
    ----------
    row
        A row of the adjusted summary.
    margin
        δ, or None.
    confidence
        Coverage of the row's intervals; its complement is the level of the tests.
    """
    if np.isnan(row["delta"]):
        yield f"Not compared: {row['reason']}.", {}
        return
    n, n_baseline = int(row["n_runs"]), int(row["n_baseline"])
    score = f"Δ of {row['split']} {row['metric']}"
    counts = {"n_runs": n, "n_baseline": n_baseline}
    if min(n, n_baseline) < FEWEST_RUNS:
        sentence = (
            f"Descriptive only (n = {n} against {n_baseline}): {score} = {row['delta']:+.3g}."
        )
        yield sentence, {"delta": row["delta"], **counts}
        return
    yield _of_delta(row, score, margin, confidence)
    yield from _of_steps(row)
    yield from _of_terms(row, 1 - confidence)
    yield from _of_overlap(row)
    left_out = {name: int(row[name]) for name in row if name.startswith(_LEFT_OUT)}
    if any(left_out.values()):
        incomplete, diverged, *baseline = left_out.values()
        yield (
            f"Left out: {incomplete} incomplete and {diverged} diverged runs, and {baseline[0]} "
            f"and {baseline[1]} of the baseline.",
            left_out,
        )


def of_many(rows: Sequence[Row], margin: float | None, confidence: float) -> Statement:
    """Sum up the comparisons of many tasks.

    Parameters
    ----------
    rows
        Rows of one group, each with a Δ.
    margin, confidence
        As in :func:`of_gap`.
    """
    score = f"Δ of {rows[0]['split']} {rows[0]['metric']}"
    said, numbers = span(rows, "delta")
    fewest = min(min(row["n_runs"], row["n_baseline"]) for row in rows)
    if fewest < FEWEST_RUNS:
        return f"Descriptive only (n = {fewest}): {score} of {len(rows)} tasks {said}.", numbers
    kinds = Counter(kind(row, margin, confidence) for row in rows)
    numbers |= {"n_tasks": len(rows), **{f"n_{name}": number for name, number in kinds.items()}}
    within = f", {kinds['within']} have none larger than {margin:g}" if margin else ""
    sentence = (
        f"Of {len(rows)} tasks {kinds['improved']} improved and {kinds['lowered']} were lowered"
        f"{within}; of {kinds['unclear']} it cannot be told. {score} {said}; trajlab gap lists all."
    )
    return sentence, numbers


def kind(row: Row, margin: float | None, confidence: float) -> str:
    """Return ``improved``, ``lowered``, ``within`` the margin, or ``unclear``.

    Parameters
    ----------
    row, margin, confidence
        As in :func:`of_gap`.
    """
    if row["delta_p_adjusted"] < 1 - confidence:
        return "improved" if row["delta"] > 0 else "lowered"
    if margin is not None:
        low, high = _narrower(row, confidence)
        return "within" if -margin < low and high < margin else "unclear"
    return "unclear"


def _narrower(row: Row, confidence: float) -> tuple[float, float]:
    """Return the interval of two one-sided tests at the level 1 − `confidence`."""
    half_width = stats.t.ppf(confidence, row["delta_df"]) * row["delta_se"]
    return row["delta"] - half_width, row["delta"] + half_width


def _of_steps(row: Row) -> Iterator[Statement]:
    """Say what Δ is at equal steps, where training was as long."""
    if np.isfinite(row["at_equal_steps"]):
        names = ("at_equal_steps", "at_equal_steps_low", "at_equal_steps_high", "last_common_step")
        sentence = f"At equal steps (step {row['last_common_step']:.0f}): {term(row, names[0])}."
        yield sentence, {name: row[name] for name in names}


def _of_delta(row: Row, score: str, margin: float | None, confidence: float) -> Statement:
    """Improved, lowered, no transfer, or cannot tell."""
    n, n_baseline = int(row["n_runs"]), int(row["n_baseline"])
    numbers = term_numbers(row, "delta") | {"n_runs": n, "n_baseline": n_baseline}
    text = f"{score} = {term(row, 'delta')} against {row['baseline']}, n = {n} and {n_baseline}"
    what = kind(row, margin, confidence)
    if what in ("improved", "lowered"):
        return f"{what.title()}: {text}.", numbers
    if row["delta_p"] < 1 - confidence:
        text += f" (adjusted for several tasks, p = {row['delta_p_adjusted']:.2g})"
    if margin is None:
        return f"Cannot tell: {text}.", numbers
    low, high = _narrower(row, confidence)
    numbers |= {"margin": margin, "margin_low": low, "margin_high": high}
    if what == "within":
        interval = f"the {2 * confidence - 1:.0%} interval of Δ is [{low:+.3g}, {high:+.3g}]"
        return f"No transfer larger than {margin:g}: {interval}; {text}.", numbers
    spread = float(row["delta_se"]) / sqrt(1 / n + 1 / n_baseline)
    numbers["seeds"] = seeds_needed(spread, float(row["delta_df"]), margin, 1 - confidence)
    return f"Cannot tell: {text}; about {numbers['seeds']} seeds for {margin:g}.", numbers


def seeds_needed(spread: float, freedom: float, margin: float, level: float) -> int:
    """Return how many runs a side find a difference of `margin` with power .8.

    Parameters
    ----------
    spread
        Standard deviation over runs; its upper 80 % limit is planned with.
    freedom
        Degrees of freedom of the spread.
    margin
        The difference.
    level
        Level of the two-sided t test.

    References
    ----------
    W. C. Guenther (1981), The American Statistician 35: the normal formula plus z²/4.
    """
    upper = spread * sqrt(freedom / stats.chi2.ppf(1 - POWER, freedom))
    z = stats.norm.ppf(1 - level / 2)
    wanted = 2 * (z + stats.norm.ppf(POWER)) ** 2 * (upper / margin) ** 2 + z**2 / 4
    return max(2, ceil(wanted))


def _of_terms(row: Row, level: float) -> Iterator[Statement]:
    """Where Δ comes from, term by term."""
    sure = {name: row[f"{name}_p_adjusted"] < level for name in ("matched", "reach", "selection")}
    along = {name: np.sign(row[name]) == np.sign(row["delta"]) for name in sure}
    common = f"equal training loss (L = {row['common_loss']:.2g})"
    numbers = term_numbers(row, "matched") | {"common_loss": row["common_loss"]}
    told = sure["selection"]
    if sure["matched"] and along["matched"]:
        told, onset = True, ""
        if row["sign"] == np.sign(row["matched"]):
            onset = f", significant from L = {row['onset_loss']:.2g} down"
            numbers["onset_loss"] = row["onset_loss"]
        yield f"A gap is present at {common}: {term(row, 'matched')}{onset}.", numbers
    elif sure["matched"]:
        yield f"At {common} the gap has the other sign: {term(row, 'matched')}.", numbers
    if sure["reach"] and along["reach"] and not sure["matched"]:
        told = True
        yield (
            f"The gap appears with the difference in attained loss: {term(row, 'reach')}; test "
            "longer training or a larger weight.",
            term_numbers(row, "reach"),
        )
    if sure["selection"]:
        sentence = f"{term(row, 'selection')} comes from the choice of checkpoint."
        yield sentence, term_numbers(row, "selection")
    if row["delta_p_adjusted"] < level and not told:
        terms = ", ".join(f"{name} {term(row, name)}" for name in sure)
        yield (
            f"Δ cannot be apportioned: {terms}.",
            {key: value for name in sure for key, value in term_numbers(row, name).items()},
        )


def _of_overlap(row: Row) -> Iterator[Statement]:
    """Say how much of training equal losses cover."""
    low, high = row["overlap_low"], row["overlap_high"]
    if np.isnan(low):
        yield "No training loss is common to both sides: nothing compares them at equal loss.", {}
    elif log10(high / low) < 1:
        numbers = {"overlap_low": low, "overlap_high": high}
        yield f"Equal losses cover only L = {low:.2g} – {high:.2g}.", numbers
