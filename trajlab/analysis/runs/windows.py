"""Which evaluations stand for a run at its end and as chosen: alike on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.statistics.intervals import FloatArray


@dataclass(frozen=True)
class Windows:
    """What E_end and E* are means of, and whether checkpoints can be chosen at all.

    Attributes
    ----------
    number
        Of evaluations; None for a tenth of them.
    distance
        Steps between the evaluations that a tenth is taken of; NaN for all. The best of many are
        better than the best of few by chance alone, so both sides are read at the larger distance.
    select
        Whether every run has more evaluations on the selection split than are chosen.
    """

    number: int | None
    distance: float
    select: bool

    @classmethod
    def of(
        cls, runs: Sequence[Evaluations], baseline: Sequence[Evaluations], number: int | None
    ) -> Self:
        """Find them for two sides, both with runs."""
        own, other = distances(runs, baseline)
        distance = np.nan if number is not None or own == other else max(own, other)
        everyone = [run.every(distance) for run in (*runs, *baseline)]
        return cls(number, distance, all(run.selectable(number) for run in everyone))

    def end_since(self, run: Evaluations, step: float) -> FloatArray:
        """Return E_end of a run, of those of its evaluations that are not before a step."""
        return run.every(self.distance).end_score(self.number, step)

    def scores(self, run: Evaluations) -> tuple[FloatArray, FloatArray]:
        """Return E* and E_end of a run; E* = E_end where none can be chosen."""
        spaced = run.every(self.distance)
        end = spaced.end_score(self.number)
        return (spaced.best_score(self.number) if self.select else end), end


def distances(runs: Sequence[Evaluations], baseline: Sequence[Evaluations]) -> tuple[float, float]:
    """Return the median number of steps between evaluations of each side, NaN where there is none.

    Of the steps that all runs made: where distances grow with the step, a run that stops early has
    smaller ones, though it was evaluated as often.

    Parameters
    ----------
    runs, baseline
        The runs of each side.
    """
    last = min(int(run.step[-1]) for run in (*runs, *baseline))
    between = [[np.diff(run.step[run.step <= last]) for run in side] for side in (runs, baseline)]
    own, other = (np.concatenate(side) for side in between)
    return (
        float(np.median(own)) if own.size else np.nan,
        float(np.median(other)) if other.size else np.nan,
    )
