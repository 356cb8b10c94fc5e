"""The sentences of the verdict: each is allowed by one line of the decision table.

A row holds one comparison: Δ and its three terms with `…_low`, `…_high` and the Holm-adjusted
`…_p_adjusted`. No sentence gives shares of terms, which may differ in sign, or a cause.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, log10, sqrt
from typing import Any

import numpy as np
from scipy import stats

FEWEST_RUNS = 3
POWER = 0.8
Row = Mapping[str, Any]
Statement = tuple[str, dict[str, Any]]  # a sentence and the numbers it stands on


def of_gap(row: Row, margin: float | None, confidence: float) -> Iterator[Statement]:
    """Say what one comparison shows.

    Parameters
    ----------
    row
        A row of the adjusted summary.
    margin
        δ, or None.
    confidence
        Of the row's intervals; its complement is the level of the tests.
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


def of_conflict(pairs: Sequence[Row], task: str) -> Statement:
    """Say how alike the batch gradients of `task` are to those of the task least like it.

    Parameters
    ----------
    pairs
        Rows of the summary of `conflict`, layer ``all``, one a task paired with `task`.
    task
        Its name.
    """
    known = [row for row in pairs if np.isfinite(row["mean_cosine"])]
    if not known:
        counts = {name: sum(row[name] for row in pairs) for name in ("n_zero", "n_missing")}
        return f"The direction of the gradient of {task} was not recorded.", counts
    row = min(known, key=lambda pair: float(pair["mean_cosine"]))
    other = row["task_b"] if row["task_a"] == task else row["task_a"]
    least = "" if len(known) == 1 else f", the least alike of {len(known)}"
    sentence = (
        f"Batch gradients of {task} and {other}{least}: mean cosine over training "
        f"{_estimate(row, 'mean_cosine', 'low', 'high')}, negative at "
        f"{row['share_conflicting']:.2g} of the recorded steps (n = {int(row['n_runs'])}); batch "
        "cosines mostly measure noise, and one setting cannot show cause."
    )
    names = ("mean_cosine", "low", "high", "share_conflicting", "n_runs")
    return sentence, {name: row[name] for name in names}


def of_corrected(pairs: Sequence[Row], task: str) -> Iterator[Statement]:
    """Say whether `task` opposes or aligns with each other task, from noise-corrected cosines.

    Parameters
    ----------
    pairs, task
        As in :func:`of_conflict`; a pair without a corrected cosine has no sentence.
    """
    for row in pairs:
        said = row.get("reading")
        if not isinstance(said, str):
            continue
        other = row["task_b"] if row["task_a"] == task else row["task_a"]
        names = ("corrected_cosine", "corrected_low", "corrected_high", "ceiling", "n_corrected")
        numbers = {name: row[name] for name in names}
        found = f"noise-corrected cosine {_estimate(row, *names[:3])}, n = {row['n_corrected']:.0f}"
        sentences = {
            "oppose": f"The gradients of {task} and {other} oppose each other: {found}.",
            "align": f"The gradients of {task} and {other} align: {found}.",
            "cannot tell": (
                f"Whether the gradients of {task} and {other} oppose or align cannot be told: "
                f"{found}."
            ),
            "noise-dominated": (
                f"The similarity of {task} and {other} is noise-dominated: "
                f"{row['n_noise_dominated']:.0f} measurements do not tell a gradient from 0; "
                "measure on more or larger batches."
            ),
        }
        yield sentences[said], numbers


def of_correlation(row: Row, confidence: float) -> Statement:
    """Say whether two columns go together over independent units.

    Parameters
    ----------
    row
        A row of the table `correlations`.
    confidence
        Of its interval; its complement is the level of the test.
    """
    names = f"{row['x'].replace('_', ' ')} and {row['y'].replace('_', ' ')}"
    numbers = {name: row[name] for name in ("estimate", "low", "high", "p_adjusted", "n")}
    units = f"over {int(row['n'])} units"
    if np.isnan(row["estimate"]):
        return f"Whether {names} go together {units} cannot be told: {row['reason']}.", numbers
    found = f"{row['statistic'].title()} {_estimate(row, 'estimate', 'low', 'high')}"
    found += f", p = {row['p_adjusted']:.2g}, the smallest possible {row['smallest_p']:.2g}"
    if row["p_adjusted"] >= 1 - confidence:
        return f"Whether {names} go together {units} cannot be told ({found}).", numbers
    way = "together" if row["estimate"] > 0 else "against each other"
    return f"{names[0].upper()}{names[1:]} go {way} {units} ({found}).", numbers


def _of_delta(row: Row, score: str, margin: float | None, confidence: float) -> Statement:
    """Improved, lowered, no transfer, or cannot tell."""
    delta, error, freedom = (float(row[name]) for name in ("delta", "delta_se", "delta_df"))
    n, n_baseline = int(row["n_runs"]), int(row["n_baseline"])
    numbers = _numbers(row, "delta") | {"n_runs": n, "n_baseline": n_baseline}
    found = f"{score} = {_term(row, 'delta')} against {row['baseline']}, n = {n} and {n_baseline}"
    if row["delta_p_adjusted"] < 1 - confidence:
        return f"{'Improved' if delta > 0 else 'Lowered'}: {found}.", numbers
    if row["delta_p"] < 1 - confidence:
        found += f" (adjusted for several tasks, p = {row['delta_p_adjusted']:.2g})"
    if margin is None:
        return f"Cannot tell: {found}.", numbers
    narrower = 2 * confidence - 1
    half_width = stats.t.ppf((1 + narrower) / 2, freedom) * error
    low, high = delta - half_width, delta + half_width
    numbers |= {"margin": margin, "margin_low": low, "margin_high": high}
    if -margin < low and high < margin:
        interval = f"the {narrower:.0%} interval of Δ is [{low:+.3g}, {high:+.3g}]"
        return f"No transfer larger than {margin:g}: {interval}; {found}.", numbers
    spread = error / sqrt(1 / n + 1 / n_baseline)
    numbers["seeds"] = seeds_needed(spread, freedom, margin, 1 - confidence)
    return f"Cannot tell: {found}; about {numbers['seeds']} seeds for {margin:g}.", numbers


def seeds_needed(spread: float, freedom: float, margin: float, level: float) -> int:
    """Return how many runs a side find a difference of `margin` with power .8.

    Parameters
    ----------
    spread
        Standard deviation over runs; its upper 80 % limit is planned with.
    freedom
        Its degrees of freedom.
    margin
        The difference.
    level
        Of the two-sided t test.

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
    sure = {term: row[f"{term}_p_adjusted"] < level for term in ("matched", "reach", "selection")}
    along = {term: np.sign(row[term]) == np.sign(row["delta"]) for term in sure}
    common = f"equal training loss (L = {row['common_loss']:.2g})"
    numbers = _numbers(row, "matched") | {"common_loss": row["common_loss"]}
    told = sure["selection"]
    if sure["matched"] and along["matched"]:
        told, onset = True, ""
        if row["sign"] == np.sign(row["matched"]):
            onset = f", significant from L = {row['onset_loss']:.2g} down"
            numbers["onset_loss"] = row["onset_loss"]
        yield f"A gap is present at {common}: {_term(row, 'matched')}{onset}.", numbers
    elif sure["matched"]:
        yield f"At {common} the gap has the other sign: {_term(row, 'matched')}.", numbers
    if sure["reach"] and along["reach"] and not sure["matched"]:
        told = True
        yield (
            f"The gap appears with the difference in attained loss: {_term(row, 'reach')}; test "
            "longer training or a larger weight.",
            _numbers(row, "reach"),
        )
    if sure["selection"]:
        sentence = f"{_term(row, 'selection')} comes from the choice of checkpoint."
        yield sentence, _numbers(row, "selection")
    if row["delta_p_adjusted"] < level and not told:
        terms = ", ".join(f"{term} {_term(row, term)}" for term in sure)
        yield (
            f"Δ cannot be apportioned: {terms}.",
            {name: value for term in sure for name, value in _numbers(row, term).items()},
        )


def _of_overlap(row: Row) -> Iterator[Statement]:
    """Say how much of training equal losses cover."""
    low, high = row["overlap_low"], row["overlap_high"]
    if np.isnan(low):
        yield "No training loss is common to both sides: nothing compares them at equal loss.", {}
    elif log10(high / low) < 1:
        numbers = {"overlap_low": low, "overlap_high": high}
        yield f"Equal losses cover only L = {low:.2g} – {high:.2g}.", numbers


_LEFT_OUT = ("n_incomplete", "n_diverged")


def _numbers(row: Row, term: str) -> dict[str, Any]:
    return {name: row[name] for name in (term, f"{term}_low", f"{term}_high", f"{term}_p_adjusted")}


def _term(row: Row, term: str) -> str:
    return _estimate(row, term, f"{term}_low", f"{term}_high")


def _estimate(row: Row, name: str, low: str, high: str) -> str:
    interval = "" if np.isnan(row[low]) else f" [{row[low]:+.3g}, {row[high]:+.3g}]"
    return f"{row[name]:+.3g}{interval}"
