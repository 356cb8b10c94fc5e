"""The difference of two groups at the end: of the scores that a user would report."""

import numpy as np

from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.item_error import item_differences
from trajlab.analysis.runs.sides import Side
from trajlab.analysis.runs.windows import Windows
from trajlab.analysis.statistics.difference import difference
from trajlab.analysis.statistics.intervals import Difference, FloatArray


def final_difference(
    runs: Side, baseline: Side, number: int | None = None, confidence: float = 0.95
) -> Difference:
    """Return Δ alone, as :func:`trajlab.analysis.gap` has it.

    Parameters
    ----------
    runs, baseline
        The two sides, both with runs.
    number
        Evaluations that stand for a run as chosen; a tenth of them if not given.
    confidence
        Coverage of the t interval.
    """
    pairs = runs.paired_with(baseline)
    sides = [side.by_pair().runs if pairs else side.runs for side in (runs, baseline)]
    windows = Windows.of(sides[0], sides[1], number)

    def read(run: Evaluations) -> FloatArray:
        return windows.scores(run)[0]

    scores = [np.array([read(run) for run in side]) for side in sides]
    items = item_differences(sides[0], sides[1], read)
    return difference(scores[0], scores[1], "t", confidence, pairs=pairs, items=items)
