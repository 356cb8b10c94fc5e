"""Every comparison in one row, with what may be said of it: the verdict at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trajlab.analysis.gap.adjustment import adjust
from trajlab.analysis.gap.decomposition import TERMS
from trajlab.analysis.gap.sentences import kind
from trajlab.analysis.interface.sentence import FEWEST_RUNS, Row
from trajlab.analysis.interface.tables import records
from trajlab.lazy import pd


def overview(
    summary: pd.DataFrame, keys: Sequence[str], margin: float | None, confidence: float
) -> pd.DataFrame:
    """Return one row a comparison: its outcome, Δ and the three terms with their intervals.

    Parameters
    ----------
    summary, keys
        As in :func:`trajlab.analysis.gap.sentences.sentences`.
    margin, confidence
        As in :func:`trajlab.analysis.diagnose`.

    Returns
    -------
    DataFrame
        `keys`, `task, metric, split, baseline, n_baseline, n_runs, outcome, reason`, and `delta`,
        `matched`, `reach` and `selection` with `…_low` and `…_high`. The outcome is ``improved``,
        ``lowered``, ``within`` the margin, ``unclear``, ``descriptive`` or ``not compared``, as
        the verdict's sentences have it.
    """
    named = ("task", "metric", "split", "baseline", "n_baseline", "n_runs")
    terms = [f"{name}{end}" for name in TERMS for end in ("", "_low", "_high")]
    rows = [
        {name: row[name] for name in (*keys, *named)}
        | {"outcome": _outcome(row, confidence), "reason": row["reason"]}
        | {name: row[name] for name in terms}
        for row in records(adjust(summary, margin))
    ]
    return pd.DataFrame(rows, columns=[*keys, *named, "outcome", "reason", *terms])


def _outcome(row: Row, confidence: float) -> str:
    if np.isnan(row["delta"]):
        return "not compared"
    if min(row["n_runs"], row["n_baseline"]) < FEWEST_RUNS or np.isnan(row["delta_p"]):
        return "descriptive"
    return kind(row, confidence)
