"""What the verdict says of the gap: each sentence is allowed by one line of the decision table.

A row holds one comparison: Δ and its three terms with `…_low`, `…_high` and the Holm-adjusted
`…_p_adjusted`. No sentence gives shares of terms, which may differ in sign, or a cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np

from trajlab.analysis.gap.adjustment import adjust
from trajlab.analysis.gap.apportion import apportion
from trajlab.analysis.gap.basis import (
    of_left_out,
    of_lone_run,
    of_no_logarithm,
    of_overlap,
    of_steps,
    without_logarithm,
)
from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.interface.sentence import FEWEST_RUNS, TOLD_SINGLY, Row, Sentence, Statement
from trajlab.analysis.interface.tables import records
from trajlab.analysis.interface.words import span, term, term_numbers
from trajlab.analysis.statistics.power import seeds_needed
from trajlab.lazy import pd, stats


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
    for _, part in adjust(summary, margin).groupby([*keys, "metric"], sort=False):
        rows = records(part)
        compared = [row for row in rows if np.isfinite(row["delta"])]
        missing = [row for row in rows if not np.isfinite(row["delta"])]
        shown = compared
        if len(compared) > TOLD_SINGLY:
            yield Sentence(compared[0], "", of_many(compared, margin, confidence))
            enough = [r for r in compared if min(r["n_runs"], r["n_baseline"]) >= FEWEST_RUNS]
            clear = [r for r in enough if kind(r, confidence) in ("improved", "lowered")]
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
    score = _score(row)
    few = f"n = {n} against {n_baseline}" if min(n, n_baseline) < FEWEST_RUNS else ""
    if few or np.isnan(row["delta_p"]):
        yield _described(row, score, few or "runs of a side do not differ")
        yield from of_left_out(row, "Descriptive only; left out")
        return
    yield _of_delta(row, score, margin, confidence)
    yield from apportion(row, 1 - confidence)
    yield from of_lone_run(row)
    yield from of_overlap(row)
    yield from of_no_logarithm(row)
    yield from of_steps(row)
    yield from of_left_out(row)


def _described(row: Row, score: str, why: str) -> Statement:
    """Give the differences at the end and where both are equally far, without a claim."""
    text = f"Descriptive only ({why}): {score} = {row['delta']:+.3g}"
    numbers = {name: row[name] for name in ("delta", "n_runs", "n_baseline")}
    if not np.isnan(row["matched"]):
        above = ", the lowest above 0," if without_logarithm(row) else ""
        place = f"{Axis.of(row).equal(row['common_loss'])}{above}"
        text += f"; at {place} the difference is {row['matched']:+.3g}"
        numbers |= {"matched": row["matched"], "common_loss": row["common_loss"]}
    return f"{text}.", numbers


def of_many(rows: Sequence[Row], margin: float | None, confidence: float) -> Statement:
    """Sum up the comparisons of many tasks.

    Parameters
    ----------
    rows
        Rows of one group, each with a Δ.
    margin, confidence
        As in :func:`of_gap`.
    """
    score = _score(rows[0])
    said, numbers = span(rows, "delta")
    fewest = min(min(row["n_runs"], row["n_baseline"]) for row in rows)
    if fewest < FEWEST_RUNS:
        return f"Descriptive only (n = {fewest}): {score} of {len(rows)} tasks {said}.", numbers
    kinds = Counter(kind(row, confidence) for row in rows)
    numbers |= {"n_tasks": len(rows), **{f"n_{name}": number for name, number in kinds.items()}}
    within = f", in {kinds['within']} Δ is within ±{margin:g}" if margin else ""
    sentence = (
        f"Of {len(rows)} tasks {kinds['improved']} improved and {kinds['lowered']} were lowered"
        f"{within}; of {kinds['unclear']} it cannot be told. {score} {said}; trajlab gap lists all."
    )
    return sentence, numbers


def _score(row: Row) -> str:
    """Name what Δ is a difference of."""
    chosen = {
        "none": "each run's last evaluations",
        row["split"]: f"evaluations best on {row['split']} itself",
    }.get(row["selection_split"], f"evaluations best on {row['selection_split']}")
    sign = "" if row.get("higher_is_better", True) else "; above 0 is better"
    return f"Δ of {row['split']} {row['metric']} ({chosen}{sign})"


def kind(row: Row, confidence: float) -> str:
    """Return ``improved``, ``lowered``, ``within`` the margin, or ``unclear``.

    Parameters
    ----------
    row, confidence
        As in :func:`of_gap`; a row that was not adjusted with a margin is never within it.
    """
    if row["delta_p_adjusted"] < 1 - confidence:
        return "improved" if row["delta"] > 0 else "lowered"
    return "within" if _within(row, confidence) else "unclear"


def _within(row: Row, confidence: float) -> bool:
    return bool(row.get("within_p_adjusted", np.nan) < 1 - confidence)


def _of_delta(row: Row, score: str, margin: float | None, confidence: float) -> Statement:
    """Improved, lowered, no transfer, or cannot tell."""
    n, n_baseline = int(row["n_runs"]), int(row["n_baseline"])
    numbers = term_numbers(row, "delta") | {"n_runs": n, "n_baseline": n_baseline}
    text = f"{score} = {term(row, 'delta')} against {row['baseline']}, n = {n} and {n_baseline}"
    what = kind(row, confidence)
    told = f"{what.title()}: {text}"
    if what in ("improved", "lowered") and margin is None:
        return f"{told}.", numbers
    if what == "unclear" and row["delta_p"] < 1 - confidence:
        text += f" (adjusted for {row['n_tests']} tests, p = {row['delta_p_adjusted']:.2g})"
    if margin is None:
        return f"Cannot tell: {text}.", numbers
    half_width = stats.t.ppf(confidence, row["delta_df"]) * row["delta_se"]
    low, high = row["delta"] - half_width, row["delta"] + half_width
    numbers |= {"margin": margin, "margin_low": low, "margin_high": high}
    numbers["within_p_adjusted"] = row["within_p_adjusted"]
    interval = f"the {2 * confidence - 1:.0%} interval of Δ is [{low:+.3g}, {high:+.3g}]"
    if row["n_tests"] > 1:
        interval += f", and adjusted for {row['n_tests']} tests p = {row['within_p_adjusted']:.2g}"
    if what in ("improved", "lowered"):
        small = f"; no transfer larger than {margin:g}, for {interval}"
        return told + (small if _within(row, confidence) else "") + ".", numbers
    if what == "within":
        return f"No transfer larger than {margin:g}: {interval}; {text}.", numbers
    spread = float(row["delta_seed_se"]) / sqrt(1 / n + 1 / n_baseline)
    level = (1 - confidence) / max(int(row["n_tests"]), 1)
    planned = float(row["delta_seed_df"]), margin, level, float(np.nan_to_num(row["delta_item_se"]))
    numbers["seeds"] = seeds_needed(spread, *planned)
    if np.isinf(numbers["seeds"]):
        return f"Cannot tell: {text}; {margin:g} needs a larger test set.", numbers
    return f"Cannot tell: {text}; about {numbers['seeds']:.0f} seeds for {margin:g}.", numbers
