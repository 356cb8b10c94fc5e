"""The level of the whole verdict: which p-values are tested together, and which not at all.

Tests of all tasks, metrics and methods that share a baseline are one family (Holm): those of Δ, of
each term by closed testing, and of a margin. The terms of a Δ are tested only where it is
established: without it there is no sign for them to explain.
"""

from __future__ import annotations

import numpy as np

from trajlab.analysis.gap.decomposition import TERMS
from trajlab.analysis.interface.sentence import FEWEST_RUNS
from trajlab.analysis.statistics.multiplicity import holm
from trajlab.lazy import pd, stats

FAMILY = ("setting", "baseline")


def adjust(summary: pd.DataFrame, margin: float | None = None) -> pd.DataFrame:
    """Add `…_p_adjusted` for Δ and each term, and `n_tests`, the size of the family of Δ.

    Under the null of no difference anywhere, any sentence claims something in at most the level of
    studies: it needs one established Δ. A term that is 0 is told to differ in at most the level of
    studies, over all their tasks, whatever else differs.

    Parameters
    ----------
    summary
        Of :func:`trajlab.analysis.gap`.
    margin
        δ; with it, `within_p_adjusted` is that of two one-sided tests that Δ lies within ±δ.
    """
    adjusted = summary.copy()
    columns = {"delta": "delta_p"} | {name: f"{name}_p_closed" for name in TERMS[1:]}
    if margin is not None:
        adjusted["within_p"] = within_p(summary, margin)
        columns["within"] = "within_p"
    enough = summary[["n_runs", "n_baseline"]].min(axis=1) >= FEWEST_RUNS
    adjusted[[f"{name}_p_adjusted" for name in columns]] = np.nan
    adjusted["n_tests"] = 0
    for _, rows in adjusted[enough].groupby(list(FAMILY), sort=False):
        for name, column in columns.items():
            adjusted.loc[rows.index, f"{name}_p_adjusted"] = holm(rows[column])
        adjusted.loc[rows.index, "n_tests"] = int(rows["delta_p"].notna().sum())
    terms = [f"{name}_p_adjusted" for name in TERMS[1:]]
    adjusted[terms] = np.maximum(adjusted[terms], adjusted[["delta_p_adjusted"]].to_numpy())
    return adjusted


def within_p(summary: pd.DataFrame, margin: float) -> pd.Series:
    """Return the larger p of two one-sided t tests, that Δ is above −`margin` and below it.

    Parameters
    ----------
    summary, margin
        As in :func:`adjust`.

    References
    ----------
    D. J. Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680.
    """
    inside = (margin - summary["delta"].abs()) / summary["delta_se"]
    return pd.Series(stats.t.sf(inside, summary["delta_df"]), summary.index)
