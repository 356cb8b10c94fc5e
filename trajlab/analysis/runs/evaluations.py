"""One run's evaluations of one task: a metric, and the training loss where it was evaluated."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trajlab.analysis.interface.axis import TRAINING_LOSS, Axis
from trajlab.analysis.runs.placing import diverged, level_errors, levels, told_at
from trajlab.analysis.runs.recorded import (
    Steps,
    evaluated,
    higher_is_better,
    table_of,
    task_column,
)
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, items

WINDOWS: Mapping[str, int | None] = {"tenth": None, "ten": 10}  # evaluations that stand for a run
_COLUMNS = ("step", "train_loss", "score", "selection", "level_error", "correct")


@dataclass(frozen=True, eq=False)
class Evaluations:
    """One run's evaluations of one task, in order of step.

    Attributes
    ----------
    step
        (n,) optimizer updates completed.
    train_loss
        (n,) the loss that runs are compared at, or another level that falls as training goes
        (:mod:`trajlab.analysis.interface.axis`); NaN where there is none that has a logarithm.
    score
        (n,) the metric, negated where lower is better, so that more is better.
    selection
        (n,) the same metric on the split that checkpoints are chosen on, NaN where missing.
    excluded
        Evaluations after step 0 that were dropped, for a score that is NaN or infinite.
    no_logarithm
        How many of those kept have a finite loss at or below 0.
    between
        How many of those kept lie between the steps of two losses.
    diverged
        Whether the last training loss is NaN or infinite.
    level_error
        (n,) standard error of log10 of `train_loss`, where it was recorded.
    correct
        (n, item) whether each item of the test set was right, where it was recorded.
    """

    step: npt.NDArray[np.int64]
    train_loss: FloatArray
    score: FloatArray
    selection: FloatArray
    excluded: int = 0
    no_logarithm: int = 0
    between: int = 0
    diverged: bool = False
    level_error: FloatArray | None = None
    correct: npt.NDArray[np.bool_] | None = None

    @classmethod
    def clean(
        cls,
        step: npt.ArrayLike,
        train_loss: npt.ArrayLike,
        score: npt.ArrayLike,
        selection: npt.ArrayLike | None = None,
        correct: npt.NDArray[np.bool_] | None = None,
    ) -> "Evaluations":
        """Drop step 0 (the initial point) and scores that are not finite, and count the latter.

        Parameters
        ----------
        step, train_loss, score, selection
            (n,) each, as recorded; `selection` may be missing.
        correct
            (n, item), or missing.
        """
        steps = np.asarray(step, dtype=np.int64)
        loss, value = np.asarray(train_loss, float), np.asarray(score, float)
        chosen = np.full(len(steps), np.nan) if selection is None else np.asarray(selection, float)
        trained = steps > 0
        good = trained & np.isfinite(value)
        return cls(
            steps[good],
            np.where(np.isfinite(loss) & (loss > 0), loss, np.nan)[good],
            value[good],
            chosen[good],
            excluded=int(trained.sum() - good.sum()),
            no_logarithm=int((good & np.isfinite(loss) & (loss <= 0)).sum()),
            diverged=bool(trained.any() and not np.isfinite(loss[trained][-1])),
            correct=None if correct is None else correct[good],
        )

    @property
    def placed(self) -> "Evaluations":
        """Those that have a place on the axis of the loss."""
        there = np.isfinite(self.train_loss)
        if there.all():
            return self
        return self.kept(there)

    def selectable(self, number: int | None = None) -> bool:
        """Tell whether there are more evaluations to choose checkpoints from than are chosen."""
        known = int(np.isfinite(self.selection).sum())
        return known > _window(known, number)

    def end_score(self, number: int | None = None, since: float = 0) -> FloatArray:
        """Return the mean score of the last `number` evaluations, or the last tenth of them.

        Of those from the step `since` on; of the last alone where it is none of them.
        """
        last = slice(-_window(len(self.score), number), None)
        kept = self.step[last] >= since
        kept[-1] = True
        return np.asarray(self.score[last][kept].mean(axis=0))

    def best(self, number: int | None = None) -> npt.NDArray[np.intp]:
        """Return which evaluations are best on the selection split, earlier first.

        Parameters
        ----------
        number
            How many; a tenth of those with a value there if not given, so that runs that were
            evaluated more often are not chosen from more sharply.
        """
        known = int(np.isfinite(self.selection).sum())
        return np.argsort(-self.selection, kind="stable")[: _window(known, number)]

    def best_score(self, number: int | None = None) -> FloatArray:
        """Return the mean score of the evaluations best on the selection split, as in `best`."""
        return np.asarray(self.score[self.best(number)].mean(axis=0))

    def kept(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Evaluations":
        """Return some of the evaluations.

        Parameters
        ----------
        which
            Their places in order, or (step,) whether each is one of them.
        """
        columns = {name: getattr(self, name) for name in _COLUMNS}
        there = {name: column for name, column in columns.items() if column is not None}
        return replace(self, **{name: column[which] for name, column in there.items()})

    def every(self, distance: float) -> "Evaluations":
        """Return the evaluations nearest to each `distance` steps back from the last.

        Parameters
        ----------
        distance
            In steps; all evaluations are returned where it is NaN, or no larger than theirs.
        """
        if self.step.size < 2 or not np.median(np.diff(self.step)) < distance:
            return self
        places = np.arange(self.step[-1], self.step[0] - 0.5, -distance)
        above = np.clip(np.searchsorted(self.step, places), 1, self.step.size - 1)
        nearer = places - self.step[above - 1] < self.step[above] - places
        return self.kept(np.unique(above - nearer))

    def step_at(self, train_loss: float) -> float:
        """Return the first step whose training loss is at most `train_loss`, NaN if none."""
        reached = np.flatnonzero(self.train_loss <= train_loss)
        return float(self.step[reached[0]]) if reached.size else np.nan


def _window(known: int, number: int | None) -> int:
    return math.ceil(known / 10) if number is None else number


def read(
    run: Trajectory,
    task: str,
    metric: str,
    split: str = "test",
    selection_split: str = "",
    *,
    bits: bool = False,
    axis: Axis = TRAINING_LOSS,
) -> Evaluations:
    """Read one run's evaluations of `task`.

    Parameters
    ----------
    run
        A run with a table ``evaluations/<split>``.
    task, metric, split
        What `score` is. A metric that the run lacks is NaN throughout.
    selection_split
        Where `selection` comes from; NaN if that split or the metric on it is missing.
    bits
        Read which items of `split` were right too, where that was recorded.
    axis
        What stands in the place of the training loss.

    Raises
    ------
    TrajlabError
        If the run has no evaluations on `split`.
    """
    if not evaluated(run, split):
        raise TrajlabError(
            f"{run.path} has no table {table_of(split)}; record it with evaluate({split!r}, …), "
            "or leave the run out"
        )
    sign = 1 if higher_is_better(run, split, metric) else -1
    step, score = task_column(run, table_of(split), metric, task)
    if metric not in run.table(table_of(split)):
        step = np.asarray(run.table(table_of(split))["step"])
        score = np.full(step.shape, np.nan)
    chosen = task_column(run, table_of(selection_split), metric, task)
    joined = Evaluations.clean(
        step,
        np.full(step.shape, np.nan),
        sign * score,
        sign * _at(step, *chosen),
        _correct(run, task, split, step) if bits else None,
    )
    return over(run, task, joined, axis)


def over(run: Trajectory, task: str, evaluations: Evaluations, axis: Axis) -> Evaluations:
    """Return a task's evaluations with the levels that its run had on the axis at their steps."""
    level = levels(run, task, evaluations.step, axis)
    finite = np.isfinite(level)
    placed = finite & (level > 0)
    return replace(
        evaluations,
        train_loss=np.where(placed, level, np.nan),
        no_logarithm=int((finite & ~placed).sum()),
        between=int((placed & ~told_at(run, task, evaluations.step, axis)).sum()),
        diverged=diverged(run, task, axis),
        level_error=level_errors(run, task, evaluations.step, axis),
    )


def _correct(run: Trajectory, task: str, split: str, step: Steps) -> npt.NDArray[np.bool_] | None:
    """Return (n, item) which items were right at `step`, none where it was not recorded."""
    table = run.table(table_of(split))
    tasks: Sequence[str] = list(table["task"])
    if "correct" not in table or task not in tasks:
        return None
    _, here, there = np.intersect1d(step, table["step"], return_indices=True)
    of_task = (there, slice(tasks.index(task), tasks.index(task) + 1))
    flags = items.unpack(table["items"][of_task], table["correct"][of_task])[:, 0]
    correct = np.zeros((len(step), flags.shape[1]), bool)
    correct[here] = flags.filled(False)
    return correct


def _at(step: Steps, own_step: Steps, values: FloatArray) -> FloatArray:
    """Return `values` at `step`, NaN where they were not recorded."""
    joined = np.full(step.shape, np.nan)
    _, here, there = np.intersect1d(step, own_step, return_indices=True)
    joined[here] = values[there]
    return joined
