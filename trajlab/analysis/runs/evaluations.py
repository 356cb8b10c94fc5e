"""One run's evaluations of one task: training loss and a metric, joined on step."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, items

WINDOWS: Mapping[str, int | None] = {"tenth": None, "ten": 10}  # evaluations that stand for a run
_NOT_METRICS = ("step", "task", "epoch", "loss", "items", "correct")


@dataclass(frozen=True, eq=False)
class Evaluations:
    """One run's evaluations of one task, in order of step, that can be placed on a loss axis.

    Attributes
    ----------
    step
        (n,) optimizer updates completed.
    train_loss
        (n,) loss on the whole training set, positive and finite.
    score
        (n,) the metric, negated where lower is better, so that more is better.
    selection
        (n,) the same metric on the split that checkpoints are chosen on, NaN where missing.
    excluded
        Evaluations after step 0 that were dropped: a missing, infinite or NaN value, or a loss
        that is not positive and so has no logarithm.
    no_logarithm
        How many of those have a finite loss at or below 0.
    apart
        Whether loss and metric were recorded, but never at one step.
    diverged
        Whether the last training loss is NaN or infinite.
    correct
        (n, item) whether each item of the test set was right, where it was recorded.
    """

    step: npt.NDArray[np.int64]
    train_loss: FloatArray
    score: FloatArray
    selection: FloatArray
    excluded: int = 0
    no_logarithm: int = 0
    apart: bool = False
    diverged: bool = False
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
        """Drop step 0 (the initial point) and what is not finite, and count the latter.

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
        good = trained & np.isfinite(loss) & np.isfinite(value) & (loss > 0)
        return cls(
            steps[good],
            loss[good],
            value[good],
            chosen[good],
            excluded=int(trained.sum() - good.sum()),
            no_logarithm=int((trained & np.isfinite(loss) & (loss <= 0)).sum()),
            diverged=bool(trained.any() and not np.isfinite(loss[trained][-1])),
            correct=None if correct is None else correct[good],
        )

    def selectable(self, number: int | None = None) -> bool:
        """Tell whether there are more evaluations to choose checkpoints from than are chosen."""
        known = int(np.isfinite(self.selection).sum())
        return known > _window(known, number)

    def end_score(self, number: int | None = None) -> FloatArray:
        """Return the mean score of the last `number` evaluations, or the last tenth of them."""
        return np.asarray(self.score[-_window(len(self.score), number) :].mean(axis=0))

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

    def step_at(self, train_loss: float) -> float:
        """Return the first step whose training loss is at most `train_loss`, NaN if none."""
        reached = np.flatnonzero(self.train_loss <= train_loss)
        return float(self.step[reached[0]]) if reached.size else np.nan


def _window(known: int, number: int | None) -> int:
    return math.ceil(known / 10) if number is None else number


def metrics(runs: Iterable[Trajectory], split: str, task: str | None = None) -> list[str]:
    """Return the metrics that any run recorded on `split`; the loss only if there is no other.

    Parameters
    ----------
    runs, split
        The runs, and the split they were evaluated on.
    task
        Count only the metrics with a value for this task.
    """
    names: dict[str, None] = {}
    for run in runs:
        if _name(split) not in run.tables:
            continue
        table = run.table(_name(split))
        for name in table:
            if name in _NOT_METRICS or table.axes(name) != ("step", "task"):
                continue
            if task is None or np.isfinite(_column(run, split, task, name)[1]).any():
                names[name] = None
    return list(names) or ["loss"]


def check_metric(metric: str, runs: Iterable[Trajectory], split: str) -> None:
    """Raise a `TrajlabError` if no run has the metric on the split."""
    if metric not in ("loss", *(known := metrics(runs, split))):
        raise TrajlabError(
            f"no run has the metric {metric!r} on the {split} split; there is {', '.join(known)}"
        )


def read(
    run: Trajectory,
    task: str,
    metric: str,
    split: str = "test",
    selection_split: str = "",
    *,
    bits: bool = False,
) -> Evaluations:
    """Read one run's evaluations of `task`.

    Parameters
    ----------
    run
        A run with tables ``evaluations/train`` and ``evaluations/<split>``.
    task, metric, split
        What `score` is. A metric that the run lacks is NaN throughout.
    selection_split
        Where `selection` comes from; NaN if that split or the metric on it is missing.
    bits
        Read which items of `split` were right too, where that was recorded.

    Raises
    ------
    TrajlabError
        If the run has no evaluations on the training set or on `split`.
    """
    if not evaluated(run, split):
        missing = "train" if _name("train") not in run.tables else split
        raise TrajlabError(
            f"{run.path} has no table {_name(missing)}; record it with evaluate({missing!r}, …), "
            "or leave the run out"
        )
    step, train_loss = _column(run, "train", task, "loss")
    sign = 1 if higher_is_better(run, split, metric) else -1
    own_step, score = _column(run, split, task, metric)
    known = np.isfinite(train_loss)
    joined = Evaluations.clean(
        step,
        train_loss,
        sign * _at(step, own_step, score),
        sign * _at(step, *_column(run, selection_split, task, metric)),
        _correct(run, task, split, step) if bits else None,
    )
    scored = own_step[np.isfinite(score)]
    apart = bool(known.any() and scored.size and not np.isin(scored, step[known]).any())
    return replace(joined, apart=apart)


def evaluated(run: Trajectory, split: str) -> bool:
    """Tell whether a run was evaluated on the training set and on `split`."""
    return {_name("train"), _name(split)} <= set(run.tables)


def unevaluated(runs: Iterable[Trajectory], split: str) -> str:
    """Return why no score can be read over training loss, if no run was evaluated for it."""
    if any(evaluated(run, split) for run in runs):
        return ""
    return f"no run was evaluated on the training set and on the {split} split"


def higher_is_better(run: Trajectory, split: str, metric: str) -> bool:
    """Tell a metric's direction, as recorded; without a record only of a loss less is better."""
    table = run.table(_name(split))
    attributes = table.column_attributes(metric) if metric in table else {}
    return bool(attributes.get("higher_is_better", metric != "loss"))


def _name(split: str) -> str:
    return f"evaluations/{split}"


def _column(run: Trajectory, split: str, task: str, metric: str) -> tuple[FloatArray, FloatArray]:
    """Return steps and values; empty if there are none."""
    if _name(split) not in run.tables:
        return np.empty(0), np.empty(0)
    table = run.table(_name(split))
    tasks: Sequence[str] = list(table["task"])
    if metric not in table or task not in tasks:
        return np.empty(0), np.empty(0)
    return table["step"], np.asarray(table[metric][:, tasks.index(task)], float)


def _correct(
    run: Trajectory, task: str, split: str, step: FloatArray
) -> npt.NDArray[np.bool_] | None:
    """Return (n, item) which items were right at `step`, none where it was not recorded."""
    table = run.table(_name(split))
    tasks: Sequence[str] = list(table["task"])
    if "correct" not in table or task not in tasks:
        return None
    _, here, there = np.intersect1d(step, table["step"], return_indices=True)
    of_task = (there, slice(tasks.index(task), tasks.index(task) + 1))
    flags = items.unpack(table["items"][of_task], table["correct"][of_task])[:, 0]
    correct = np.zeros((len(step), flags.shape[1]), bool)
    correct[here] = flags.filled(False)
    return correct


def _at(step: FloatArray, own_step: FloatArray, values: FloatArray) -> FloatArray:
    """Return `values` at `step`, NaN where they were not recorded."""
    joined = np.full(step.shape, np.nan)
    _, here, there = np.intersect1d(step, own_step, return_indices=True)
    joined[here] = values[there]
    return joined
