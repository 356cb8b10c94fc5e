"""Count what verdicts on studies made up say, in pieces that resume."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.coverage.paths import FloatArray
from benchmarks.coverage.sentences import ANY, kinds
from benchmarks.coverage.studies import LOSS_ERROR, VALIDATION, Study
from tests.analysis.results import made_up
from trajlab.analysis import factors, gap, runs_from_frame, verdict
from trajlab.analysis.gap.options import GapOptions
from trajlab.analysis.gap.rows import term_columns
from trajlab.analysis.runs.evaluations import Evaluations

PIECE = 100  # studies that are drawn from one seed
_WHOLE = 10  # of the first piece, whose verdicts are made of recorded runs in any case
_LEVEL = 0.05
_OPTIONS = GapOptions(**gap.__kwdefaults__)


def said(study: Study, rng: np.random.Generator, *, whole: bool = True) -> set[str]:
    """Draw a study, and return the kinds of sentences its verdict holds.

    Parameters
    ----------
    study, rng
        What is drawn, and from where.
    whole
        Make the verdict from recorded runs in any case, and check the short ways against it.

    Raises
    ------
    AssertionError
        If they do not say the same.
    """
    drawn = study.draw(rng)
    short = _short(study, drawn)
    if short is not None and not whole:
        return short
    runs = runs_from_frame(study.frame(drawn), metrics=["accuracy"])
    results = [gap(runs), *([factors(runs)] if study.factors else [])]
    found = _kinds(study, verdict(results, margin=study.margin))
    assert short is None or short == found & set(judged_kinds(study)), (study.name, short, found)
    return found


def judged_kinds(study: Study) -> tuple[str, ...]:
    """Return the kinds of sentences that are false or true of a study.

    Parameters
    ----------
    study
        A study.
    """
    return (*study.false, *study.true)


def _kinds(study: Study, rows: pd.DataFrame) -> set[str]:
    if study.differing:
        rows = rows[rows["task"].isin([f"t{i}" for i in range(study.differing, study.tasks)])]
    return kinds(rows["sentence"])


def _short(study: Study, drawn: Sequence[dict[str, FloatArray]]) -> set[str] | None:
    """Return what is said, by less work; None where only a whole verdict tells."""
    if study.false == (ANY,) and not study.differing and _alike(study) and not may_differ(drawn):
        return set()
    if study.factors or "no sentence" in study.false:
        return None
    rows = [_row(drawn, task) for task in range(study.tasks)]
    short = made_up("gap", summary=pd.DataFrame(rows))
    found = _kinds(study, verdict([short], margin=study.margin))
    return found & set(judged_kinds(study))


def _alike(study: Study) -> bool:
    """Tell whether both sides were evaluated as often, so that SciPy's test reads as ours does."""
    return study.methods[0].evaluations == study.methods[1].evaluations and study.validation


def _row(drawn: Sequence[dict[str, FloatArray]], task: int) -> dict[str, Any]:
    """Return a row of the gap's summary without what no judged sentence stands on."""
    baseline, runs = (
        [
            _evaluations({name: values[i, task] for name, values in columns.items()})
            for i in range(len(columns["step"]))
        ]
        for columns in drawn
    )
    head = {"setting": "", "condition": "", "method": "uniform", "baseline": "method=single"}
    head |= {"task": f"t{task}", "n_runs": len(runs), "n_baseline": len(baseline)}
    head |= {"metric": "accuracy", "split": "test", "reason": "", "common_loss_run": "one"}
    unknown = ("overlap_low", "overlap_high", "sign", "onset_loss", "at_equal_steps")
    ends = [
        f"{name}_without{end}" for name in ("delta", "matched") for end in ("", "_low", "_high")
    ]
    row = head | dict.fromkeys((*unknown, *ends), np.nan)
    return row | term_columns(runs, baseline, _OPTIONS, pairs=False)


def _evaluations(columns: dict[str, FloatArray]) -> Evaluations:
    names = ("step", "train_loss", "accuracy", VALIDATION)
    made = Evaluations.clean(*(columns.get(name) for name in names))
    if LOSS_ERROR in columns:
        error = columns[LOSS_ERROR] / columns["train_loss"] / np.log(10)
        made = replace(made, level_error=error)
    return made


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


def count(study: Study, piece: int) -> Counter[str]:
    """Return how often each kind of sentence is said in one piece.

    The first ten are made both in the short way and in whole.

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
