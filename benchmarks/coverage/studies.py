"""Studies made up: two methods, their runs, and what is true of them.

A run's metric is a function of its training loss, plus what the method adds at equal loss, a shift
of the whole run, and noise of each evaluation; part of that noise is the model's own and shared
with validation. Tasks of one network share part of the shift.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.coverage.paths import FloatArray, smooth, stuck

STEPS = 12_000
RUN_SD, MODEL_SD, SET_SD = 0.3, 0.15, 0.15
LOSS_SD, JITTER_SD = 0.05, 0.06  # decades, of a run and of an evaluation
VALIDATION = "evaluations/validation/accuracy"
LOSS_ERROR = "evaluations/train/loss_se"
FACTORS = ("sharpness/value", "fisher/trace")


def score_of(log_loss: FloatArray) -> FloatArray:
    """Return the metric that a training loss goes with: 76 at 1, 88 at 0."""
    return np.asarray(88 - 12 * 10 ** (log_loss / 2))


@dataclass(frozen=True)
class Method:
    """How the runs of one method go.

    Attributes
    ----------
    path
        log10 of the training loss over the share of training that is done.
    gap
        What is added to the metric at equal loss; a function of log10 of the loss, or a number.
    evaluations
        Of a run, at equal distances.
    length
        Share of the steps that are made: early stopping.
    stuck
        Runs that never train.
    factor
        log10 of what the factors are multiplied by at equal loss.
    spread
        Times the standard deviation of the shifts of runs.
    noise
        Times the standard deviations of all noise but the shifts of runs.
    sampled
        Standard error of log10 of the loss, measured on a sample that all runs of the side share.
    """

    path: Callable[[FloatArray], FloatArray] = smooth
    gap: float | Callable[[FloatArray], FloatArray] = 0.0
    evaluations: int = 60
    length: float = 1.0
    stuck: int = 0
    factor: float = 0.0
    spread: float = 1.0
    sampled: float = 0.0
    noise: float = 1.0


@dataclass(frozen=True)
class Study:
    """Runs of two methods, and which kinds of sentences are false of them, and which true.

    Attributes
    ----------
    name
        Name of the generator of its runs, as in the tables.
    methods
        The baseline and what is compared with it.
    seeds, tasks
        Runs a method, and tasks of each network.
    false, true
        Kinds of sentences, of :data:`benchmarks.coverage.sentences.KINDS`.
    factors
        Whether factors are recorded: functions of the loss, but for `Method.factor`.
    identical
        Whether all runs of a method are copies of one: no spread.
    margin
        δ.
    validation
        Whether checkpoints can be chosen on another split.
    shared
        Correlation of the shifts of one network's tasks.
    recorded
        Whether the error of a loss on a sample is recorded.
    differing
        The gap is that of the first so many tasks, and what is said of the others is judged.
    """

    name: str
    methods: tuple[Method, Method] = (Method(), Method())
    seeds: int = 5
    tasks: int = 1
    false: tuple[str, ...] = ()
    true: tuple[str, ...] = ()
    factors: bool = False
    identical: bool = False
    margin: float | None = None
    validation: bool = True
    shared: float = 0.5
    recorded: bool = True
    differing: int | None = None

    @property
    def evaluations(self) -> str:
        """Evaluations of a run, of each side where they differ."""
        return "/".join(dict.fromkeys(str(how.evaluations) for how in self.methods))

    def draw(self, rng: np.random.Generator) -> list[dict[str, FloatArray]]:
        """Draw the runs of both sides: each column, and the step, by run, task and evaluation."""
        return [self._side(rng, how) for how in self.methods]

    def frame(self, drawn: Sequence[dict[str, FloatArray]]) -> pd.DataFrame:
        """Return what was drawn, one row a run, step and task."""
        sides = zip(("single", "uniform"), drawn, strict=True)
        return pd.concat([_rows(name, columns) for name, columns in sides], ignore_index=True)

    def _side(self, rng: np.random.Generator, how: Method) -> dict[str, FloatArray]:
        shape = self.seeds, self.tasks, how.evaluations
        step = np.round(how.length * STEPS * np.arange(1, shape[2] + 1) / shape[2])
        log_loss = np.empty(shape)
        log_loss[:] = how.path(step / STEPS)
        if how.stuck:
            log_loss[: how.stuck] = stuck(step / STEPS)
        log_loss += rng.normal(0, how.noise * LOSS_SD, (*shape[:2], 1))
        log_loss += rng.normal(0, how.noise * JITTER_SD, shape)
        shift = np.sqrt(self.shared) * rng.normal(0, how.spread * RUN_SD, (shape[0], 1, 1))
        apart = rng.normal(0, how.spread * RUN_SD, (*shape[:2], 1))
        added = np.broadcast_to(how.gap(log_loss) if callable(how.gap) else how.gap, shape).copy()
        added[:, slice(self.differing, None) if self.differing else slice(0)] = 0
        own = score_of(log_loss) + added + shift + np.sqrt(1 - self.shared) * apart
        own += rng.normal(0, how.noise * MODEL_SD, shape)
        seen = log_loss + how.sampled * rng.normal() if how.sampled else log_loss
        columns = {"step": np.broadcast_to(step, shape), "train_loss": 10**seen}
        if how.sampled and self.recorded:
            columns[LOSS_ERROR] = 10**seen * np.log(10) * how.sampled
        for column in ("accuracy", VALIDATION) if self.validation else ("accuracy",):
            columns[column] = own + rng.normal(0, how.noise * SET_SD, shape)
        for column in FACTORS if self.factors else ():
            noise = rng.normal(0, 0.05, (*shape[:2], 1)) + rng.normal(0, 0.05, shape)
            columns[column] = 10 ** (-log_loss / 3 + how.factor + noise)
        if self.identical:
            columns = {key: np.repeat(v[:1], shape[0], axis=0) for key, v in columns.items()}
        return columns


def _rows(method: str, columns: dict[str, FloatArray]) -> pd.DataFrame:
    seed, task, _ = (axis.ravel() for axis in np.indices(columns["step"].shape))
    head = {"method": method, "seed": seed, "task": np.char.add("t", task.astype(str))}
    frame = pd.DataFrame({**head, **{key: v.ravel() for key, v in columns.items()}})
    return frame.astype({"step": int})
