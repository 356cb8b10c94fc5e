"""Count what verdicts on studies made up say, in pieces that resume."""

from collections import Counter
from math import ceil
from zlib import crc32

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.coverage.sentences import ANY, kinds
from benchmarks.coverage.studies import VALIDATION, Study
from trajlab.analysis import factors, gap, runs_from_frame, verdict

PIECE = 100  # studies that are drawn from one seed
_LEVEL = 0.05
_KEYS = ["method", "seed", "task"]


def said(study: Study, rng: np.random.Generator, *, whole: bool = True) -> set[str]:
    """Draw a study, and return the kinds of sentences its verdict holds.

    Parameters
    ----------
    study, rng
        What is drawn, and from where.
    whole
        Make the verdict in any case; else only where :func:`may_differ`.

    Raises
    ------
    AssertionError
        If a whole verdict finds something where it could have been left out.
    """
    frame = study.frame(rng)
    may = not _screened(study) or may_differ(frame)
    if not (whole or may):
        return set()
    runs = runs_from_frame(frame, metrics=["accuracy"])
    results = [gap(runs), *([factors(runs)] if study.factors else [])]
    rows = verdict(results, margin=study.margin)
    if study.differing:
        rows = rows[rows["task"].isin([f"t{i}" for i in range(study.differing, study.tasks)])]
    found = kinds(rows["sentence"])
    assert may or ANY not in found, f"a finding in {study.name} without a difference in the end"
    return found


def may_differ(frame: pd.DataFrame) -> bool:
    """Tell by SciPy's Welch test and Bonferroni alone whether any task differs in the end.

    Holm's method rejects something exactly where Bonferroni's does, and without it a verdict has
    nothing to find: whole verdicts need not be made, which cost a thousand times as much.

    Parameters
    ----------
    frame
        Of a study whose sides were evaluated alike.
    """
    ordered = frame.sort_values([*_KEYS, VALIDATION], kind="stable")
    evaluations = len(frame) // len(frame[_KEYS].drop_duplicates())
    best = ordered["accuracy"].to_numpy().reshape(-1, evaluations)[:, -ceil(evaluations / 10) :]
    tasks = frame["task"].nunique()
    sides = best.mean(axis=1).reshape(2, -1, tasks)
    p_values = stats.ttest_ind(*sides, equal_var=False).pvalue
    return bool(p_values.min() * tasks < _LEVEL * (1 + 1e-9))


def _screened(study: Study) -> bool:
    """Tell whether a finding needs a difference in the end, and several tasks make it dear."""
    return study.tasks > 1 and study.false == (ANY,) and not study.differing


def count(study: Study, piece: int) -> Counter[str]:
    """Return how often each kind of sentence is said in one piece.

    Whole verdicts are made of the first piece, of the others where something may differ.

    Parameters
    ----------
    study
        What is drawn, :data:`PIECE` times.
    piece
        Its number, from which its seed is made.
    """
    name = crc32(repr((study.name, study.seeds, study.tasks, study.evaluations)).encode())
    rng = np.random.default_rng([name, piece])
    return Counter(kind for _ in range(PIECE) for kind in said(study, rng, whole=not piece))
