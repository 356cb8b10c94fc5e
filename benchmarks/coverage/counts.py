"""Count what verdicts on studies made up say, in pieces that resume."""

from collections import Counter
from collections.abc import Sequence
from math import ceil
from zlib import crc32

import numpy as np
from scipy import stats

from benchmarks.coverage.paths import FloatArray
from benchmarks.coverage.sentences import ANY, kinds
from benchmarks.coverage.studies import VALIDATION, Study
from trajlab.analysis import factors, gap, runs_from_frame, verdict

PIECE = 100  # studies that are drawn from one seed
_WHOLE = 30  # of the first piece, whose verdicts are made in any case
_LEVEL = 0.05


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
    drawn = study.draw(rng)
    may = not _screened(study) or may_differ(drawn)
    if not (whole or may):
        return set()
    runs = runs_from_frame(study.frame(drawn), metrics=["accuracy"])
    results = [gap(runs), *([factors(runs)] if study.factors else [])]
    rows = verdict(results, margin=study.margin)
    if study.differing:
        rows = rows[rows["task"].isin([f"t{i}" for i in range(study.differing, study.tasks)])]
    found = kinds(rows["sentence"])
    assert may or ANY not in found, f"a finding in {study.name} without a difference in the end"
    return found


def may_differ(drawn: Sequence[dict[str, FloatArray]]) -> bool:
    """Tell by SciPy's Welch test and Bonferroni alone whether any task differs in the end.

    Holm's method rejects something exactly where Bonferroni's does, and without it a verdict has
    nothing to find: whole verdicts need not be made, which cost a hundred times as much.

    Parameters
    ----------
    drawn
        Of a study whose sides were evaluated alike and chosen on validation.
    """
    sides = []
    for columns in drawn:
        order = np.argsort(columns[VALIDATION], axis=-1)
        best = order[..., -ceil(order.shape[-1] / 10) :]
        sides.append(np.take_along_axis(columns["accuracy"], best, -1).mean(axis=-1))
    p_values = stats.ttest_ind(*sides, equal_var=False).pvalue
    return bool(p_values.min() * p_values.size < _LEVEL * (1 + 1e-9))


def _screened(study: Study) -> bool:
    """Tell whether nothing but any finding is judged, which needs a difference in the end."""
    alike = study.methods[0].evaluations == study.methods[1].evaluations
    return alike and study.false == (ANY,) and not (study.true or study.differing)


def count(study: Study, piece: int) -> Counter[str]:
    """Return how often each kind of sentence is said in one piece.

    Whole verdicts are made of the first 30, of the others where something may differ.

    Parameters
    ----------
    study
        What is drawn, :data:`PIECE` times.
    piece
        Its number, from which its seed is made.
    """
    name = crc32(repr((study.name, study.seeds, study.tasks, study.evaluations)).encode())
    rng = np.random.default_rng([name, piece])
    whole = [not piece and i < _WHOLE for i in range(PIECE)]
    return Counter(kind for each in whole for kind in said(study, rng, whole=each))
