"""The level of the whole verdict: which p-values are tested together, and which not at all.

Δ of all tasks, metrics and methods that share a baseline are one family (Holm). The terms of a Δ
are tested only where it is established: without it there is no sign for them to explain.
"""

from __future__ import annotations

import numpy as np

from trajlab.analysis.gap.decomposition import TERMS
from trajlab.analysis.result import FEWEST_RUNS
from trajlab.analysis.statistics.multiplicity import holm
from trajlab.lazy import pd


def adjust(summary: pd.DataFrame) -> pd.DataFrame:
    """Add `…_p_adjusted` for Δ and each term, and `n_tests`, the size of the family of Δ.

    Under the null of no difference anywhere, any sentence claims something in at most the level of
    studies: it needs one established Δ.

    Parameters
    ----------
    summary
        Of :func:`trajlab.analysis.gap`.
    """
    adjusted = summary.copy()
    enough = summary[["n_runs", "n_baseline"]].min(axis=1) >= FEWEST_RUNS
    adjusted["delta_p_adjusted"] = np.nan
    adjusted["n_tests"] = 0
    for _, rows in summary[enough].groupby(["setting", "baseline"], sort=False):
        adjusted.loc[rows.index, "delta_p_adjusted"] = holm(rows["delta_p"])
        adjusted.loc[rows.index, "n_tests"] = int(rows["delta_p"].notna().sum())
    terms = [f"{name}_p" for name in TERMS[1:]]
    for index, row in adjusted.iterrows():
        own = np.maximum(holm(row[terms].astype(float)), row["delta_p_adjusted"])
        adjusted.loc[index, [f"{name}_adjusted" for name in terms]] = own
    return adjusted
