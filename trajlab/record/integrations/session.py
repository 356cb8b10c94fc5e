"""What every framework's callback does: a recorder that lives as long as training does."""

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from trajlab.errors import TrajlabError
from trajlab.measure.sums.processes import sum_over_processes
from trajlab.record.failures import Failures
from trajlab.record.integrations.train_sample import TrainSample
from trajlab.record.loop.losses import Weights
from trajlab.record.recorder import Recorder
from trajlab.store.parts import exists

SAMPLE = -1  # in the place of a data loader's number
_logger = logging.getLogger("trajlab")
_recording: dict[str, "Session"] = {}  # those with an open file in this process, by path


class Session:
    """Opens a recorder when training begins, and turns a framework's evaluations into rows.

    Parameters
    ----------
    path : path
        The trajectory file.
    tasks : sequence of str
        Task names.
    settings : mapping
        Further arguments of `Recorder`.
    train_sample : int, optional
        How many examples of the training set to evaluate, too.

    Attributes
    ----------
    sample : TrainSample or None
        Those examples.
    sampling : bool
        Whether they are being evaluated: losses are taken in by this session alone.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tasks: Sequence[str],
        settings: Mapping[str, Any],
        train_sample: int | None = None,
    ) -> None:
        for given in ("optimizer", "scaler", "resume", "from_step"):
            if given in settings:
                raise TrajlabError(f"{given}= comes from the trainer; leave it out")
        self.path = os.path.abspath(os.path.expanduser(path))
        self.file = Path(self.path)  # of the present training; further ones have names of their own
        self._tasks = tuple(tasks)
        self._settings = dict(settings)
        self._parts: dict[str, Any] = {}  # of the trainer
        self._recorder: Recorder | None = None
        self._failures = Failures(bool(settings.get("strict", False)))
        self._begun = self._completed = False
        self._observed = False
        self._sums: dict[tuple[int, str], list[float]] = {}  # by data loader and task
        self.sample = None if train_sample is None else TrainSample(train_sample)
        self.sampling = False
        self._sampled = -1  # the step at which the sample was evaluated last

    def begin(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        scaler: GradScaler | None,
        step: int,
        resume: bool,
    ) -> None:
        """Open the recorder; with `resume`, what was recorded from that step on is superseded.

        In one process, training that begins anew supersedes an attempt that did not end, and is
        kept beside one that did, in a file of its own; a trainer that goes on does so in its file.

        Raises
        ------
        TrajlabError
            If the settings are wrong, or another process's file is there and training does not
            resume.
        """
        self._parts = {"model": model, "optimizer": optimizer, "scaler": scaler}
        self._observed = False
        self._sampled = -1
        self._sums.clear()
        unfinished = _recording.get(self.path)
        if unfinished is not None:
            unfinished.end("recording")
        if self._completed and step == 0 and not resume:
            kept, self.file = self.file, _beside(self.file)
            _logger.warning("trajlab keeps %s, and records this training in %s", kept, self.file)
        elif not resume and (unfinished is not None or self._begun):
            resume = True
            _logger.warning("trajlab supersedes what %s has from step %d on", self.file, step)
        elif not resume and exists(self.file):
            raise TrajlabError(
                f"{self.file} exists, and this training begins anew; delete it, or give the "
                "callback another path (training that resumes from a checkpoint goes on in it)"
            )
        self._open(step if resume else None)
        self._begun = True
        _recording[self.path] = self

    def observe(
        self,
        losses: Mapping[str, Tensor | None],
        weights: Weights | None,
        step: int,
        epoch: int,
        accumulate: int,
    ) -> None:
        """Record the losses of one training pass."""
        if self._recorder is not None:
            self._observed = True
            self._recorder.epoch = epoch
            self._recorder.observe(losses, weights, step, accumulate=accumulate)

    def check_observed(self, where: str) -> None:
        """Raise if a training step has passed without losses.

        Raises
        ------
        TrajlabError
            Saying where to give them.
        """
        if self._recorder is not None and not self._observed:
            raise TrajlabError(
                f"a step was trained, but {where} did not call trajlab's total_loss; return "
                "total_loss(self, …) from it"
            )

    def evaluate_sample(
        self, model: nn.Module, compute: Callable[[Any, int], None], step: int, epoch: int
    ) -> None:
        """Record an evaluation of the training sample, if there is one, once at a step.

        Parameters
        ----------
        model, compute
            As in `TrainSample.run`; `compute` ends in `collect`.
        step, epoch
            When.
        """
        if self.sample is None or self._recorder is None or self._sampled == step:
            return
        self._sampled, self.sampling = step, True
        try:
            self.sample.run(model, compute)
        except Exception as error:
            for task in self._tasks:
                self._sums.pop((SAMPLE, task), None)
            self._failures.tell("evaluate the training sample", error, "it is left out")
            return
        finally:
            self.sampling = False
        self.evaluate("train", {}, step, epoch, SAMPLE)
        try:
            self._recorder.describe("evaluations/train", self.sample.identity)
        except TrajlabError as error:  # no evaluation came through
            self._failures.tell("describe the training sample", error, "training goes on")

    def collect(self, losses: Mapping[str, Tensor | None], examples: int, loader: int = 0) -> None:
        """Take in the losses of one evaluation batch; they are averaged over examples."""
        loader = SAMPLE if self.sampling else loader
        for task, loss in losses.items():
            if loss is not None:
                value = float(loss)
                added = (examples * value, examples, examples * value**2, 1)
                sums = self._sums.setdefault((loader, task), [0.0] * len(added))
                self._sums[loader, task] = [old + new for old, new in zip(sums, added, strict=True)]

    def evaluate(
        self, split: str, metrics: Mapping[str, Any], step: int, epoch: int, loader: int = 0
    ) -> None:
        """Record an evaluation: the losses taken in, and the metrics named ``task_metric``.

        After training the file is opened for this row and closed again. What cannot be recorded,
        such as an evaluation set that is no split, is told once and left out.
        """
        totals = [self._sums.pop((loader, task), [0.0] * 4) for task in self._tasks]
        (sums,) = sum_over_processes([torch.tensor(totals, device=self._device)])
        values: dict[str, dict[str, float]] = {}
        for task, (total, number, squares, batches) in zip(self._tasks, sums.tolist(), strict=True):
            values[task] = _of_task(task, metrics)
            if number:
                values[task]["loss"] = total / number
            if loader == SAMPLE and self.sample is not None and batches > 1:
                spread = max(squares / number - (total / number) ** 2, 0.0) / (batches - 1)
                values[task]["loss_se"] = math.sqrt(self.sample.left_out * spread)
        if not any(values.values()) or not self._parts:
            return  # nothing of the tasks, or training has not begun
        reopened = self._recorder is None
        try:
            if reopened:
                self._open(step)
            assert self._recorder is not None
            self._recorder.epoch = epoch
            self._recorder.evaluate(split, values, step)
        except Exception as error:
            self._failures.tell(f"record an evaluation on {split!r}", error, "it is left out")
        finally:
            if reopened:
                self.end()

    def forget(self) -> None:
        """Drop the losses taken in, which were of no evaluation that counts."""
        self._sums.clear()

    def flush(self) -> None:
        """Write what is buffered, before a checkpoint is published."""
        if self._recorder is not None:
            try:
                self._recorder.flush()
            except Exception as error:
                self._failures.tell(f"write {self.file}", error, "its rows are kept in memory")

    def end(self, status: str = "complete") -> None:
        """Close the file, if it is open."""
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            _recording.pop(self.path, None)
            self._completed = status == "complete"
            try:
                recorder.close(status)
            except Exception as error:
                then = "what was written is kept; `trajlab merge` seals it"
                self._failures.tell(f"seal {self.file}", error, then)

    def __getstate__(self) -> dict[str, Any]:
        """Leave an open file, and what it watches, to the process that records."""
        return self.__dict__ | {"_recorder": None, "_parts": {}}

    @property
    def _device(self) -> torch.device:
        model = self._parts.get("model")
        return next(model.parameters()).device if model else torch.device("cpu")

    def _open(self, from_step: int | None) -> None:
        self._recorder = Recorder(
            self.file,
            tasks=self._tasks,
            resume=from_step is not None,
            from_step=from_step,
            **self._parts,
            **self._settings,
        )


def _beside(file: Path) -> Path:
    """Return the first free name after that of a training before."""
    names = (file.with_stem(f"{file.stem}-{number}") for number in count(2))
    return next(name for name in names if not exists(name))


def _of_task(task: str, metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers named ``task_metric`` or ``task/metric`` under the name of the metric."""
    return {
        name[len(task) + 1 :]: float(value)
        for name, value in metrics.items()
        if name.startswith((f"{task}_", f"{task}/"))
    }
