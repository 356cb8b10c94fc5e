"""What the verdict says of task gradients; never that conflict was the cause of anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from trajlab.analysis.conflict.corrected import NOISE
from trajlab.analysis.interface.sentence import FEWEST_RUNS, TOLD_SINGLY, Row, Sentence, Statement
from trajlab.analysis.interface.tables import records
from trajlab.analysis.interface.words import estimate, percent, span
from trajlab.lazy import pd

_CORRECTED = ("corrected_cosine", "corrected_low", "corrected_high")


def sentences(
    summary: pd.DataFrame, tasks: pd.DataFrame, keys: Sequence[str]
) -> Iterator[Sentence]:
    """Yield what the gradients of each group show.

    Parameters
    ----------
    summary, tasks
        Tables of :func:`trajlab.analysis.conflict`.
    keys
        Columns that name a group.
    """
    total = summary[summary["layer"] == "all"]
    for _, part in total.groupby(list(keys), sort=False):
        pairs = records(part)
        for statement in (*of_corrected(pairs), of_batches(pairs)):
            yield Sentence(pairs[0], "", statement)
    for _, part in tasks.groupby(list(keys), sort=False):
        rows = records(part)
        if any(np.isfinite(row["norm_share"]) for row in rows):  # or the cosines are known alone
            yield Sentence(rows[0], "", of_shares(rows))


def of_corrected(pairs: Sequence[Row]) -> Iterator[Statement]:
    """Say whether tasks oppose or align, from noise-corrected cosines over three runs or more.

    Parameters
    ----------
    pairs
        Rows of the summary of `conflict`, layer ``all``, of one group; a pair without a corrected
        cosine has no sentence, and many pairs have one together.
    """
    measured = [row for row in pairs if isinstance(row.get("reading"), str)]
    if len(measured) <= TOLD_SINGLY:
        yield from map(_of_pair, measured)
        return
    readings = Counter("descriptive only" if _few(row) else row["reading"] for row in measured)
    known = [row for row in _named(measured) if np.isfinite(row["corrected_cosine"])]
    said, numbers = span(known, "corrected_cosine", "pair") if known else ("", {})
    counts = ", ".join(f"{number} {reading}" for reading, number in readings.items())
    yield (
        f"Noise-corrected cosines of {len(measured)} pairs of tasks: {counts}, each by its own "
        f"interval; {said}.",
        {**numbers, "n_pairs": len(measured)},
    )


def of_batches(pairs: Sequence[Row]) -> Statement:
    """Say how alike the gradients of batches are, and how little that tells.

    Parameters
    ----------
    pairs
        As in :func:`of_corrected`.
    """
    known = [row for row in _named(pairs) if np.isfinite(row["mean_cosine"])]
    if not known:
        counts = {name: sum(row[name] for row in pairs) for name in ("n_zero", "n_missing")}
        return "The directions of the task gradients were not recorded.", counts
    if len(known) == 1:
        row = known[0]
        names = ("mean_cosine", "low", "high", "share_conflicting", "n_runs")
        numbers = {name: row[name] for name in names}
        text = (
            f"batch gradients of {row['pair']}: mean cosine over training "
            f"{estimate(row, 'mean_cosine')}; of the steps recorded, "
            f"{percent(row['share_conflicting'])} oppose (n = {int(row['n_runs'])})"
        )
    else:
        said, numbers = span(known, "mean_cosine", "pair")
        text = f"batch gradients of {len(known)} pairs of tasks: mean cosine over training {said}"
    few = known[0]["n_runs"] < FEWEST_RUNS
    begun = f"Descriptive only: {text}" if few else text[0].upper() + text[1:]
    return f"{begun}; batch cosines mostly measure noise.", numbers


def of_shares(tasks: Sequence[Row]) -> Statement:
    """Say how much of the gradient norm each task has.

    Parameters
    ----------
    tasks
        Rows of the table `tasks` of `conflict`, of one group.
    """
    ordered = sorted(tasks, key=lambda row: -float(row["norm_share"]))
    shown = ordered if len(ordered) <= TOLD_SINGLY else [ordered[0], ordered[-1]]
    said = ", ".join(f"{row['task']} {percent(row['norm_share'])}" for row in shown)
    which = "" if shown is ordered else f", largest and smallest of {len(ordered)} tasks"
    numbers = {f"norm_share of {row['task']}": row["norm_share"] for row in shown}
    return f"Share of the gradient norm over training{which}: {said}.", numbers


def _of_pair(row: Row) -> Statement:
    names = (*_CORRECTED, "ceiling", "n_corrected")
    pair = f"{row['task_a']} and {row['task_b']}"
    text = (
        f"noise-corrected cosine {estimate(row, *_CORRECTED)}, n = {row['n_corrected']:.0f}, "
        f"ceiling {row['ceiling']:.2g}"
    )
    numbers = {name: row[name] for name in names}
    if _few(row):
        return f"Descriptive only: gradients of {pair}: {text}.", numbers
    sentences = {
        "oppose": f"The gradients of {pair} oppose each other: {text}.",
        "align": f"The gradients of {pair} align: {text}.",
        "cannot tell": f"Whether the gradients of {pair} oppose or align cannot be told: {text}.",
        "noise-dominated": (
            f"The similarity of {pair} is noise-dominated: {row['n_noise_dominated']:.0f} "
            "measurements do not tell a gradient from 0; measure on more or larger batches."
        ),
    }
    return sentences[row["reading"]], numbers


def _few(row: Row) -> bool:
    """Tell whether a cosine was measured, but in too few runs for a claim."""
    return bool(row["reading"] != NOISE and row["n_corrected"] < FEWEST_RUNS)


def _named(pairs: Sequence[Row]) -> list[dict[str, Any]]:
    return [{**row, "pair": f"{row['task_a']} and {row['task_b']}"} for row in pairs]
