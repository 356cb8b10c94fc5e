"""What every framework's callback does: a recorder that lives as long as training does."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from trajlab.errors import TrajlabError
from trajlab.measure.sums.processes import sum_over_processes
from trajlab.record.loop.losses import Weights
from trajlab.record.recorder import Recorder


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
    """

    def __init__(
        self, path: str | os.PathLike[str], tasks: Sequence[str], settings: Mapping[str, Any]
    ) -> None:
        for given in ("optimizer", "scaler", "resume", "from_step"):
            if given in settings:
                raise TrajlabError(f"{given}= comes from the trainer; leave it out")
        self.path = os.fspath(path)
        self._tasks = tuple(tasks)
        self._settings = dict(settings)
        self._parts: dict[str, Any] = {}  # of the trainer
        self._recorder: Recorder | None = None
        self._observed = False
        self._sums: dict[tuple[int, str], tuple[float, float]] = {}  # by data loader and task

    def begin(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        scaler: GradScaler | None,
        step: int,
        resume: bool,
    ) -> None:
        """Open the recorder; with `resume`, what was recorded from that step on is superseded.

        Raises
        ------
        TrajlabError
            If the settings are wrong, or the file is there and training does not resume.
        """
        self._parts = {"model": model, "optimizer": optimizer, "scaler": scaler}
        self._observed = False
        self._sums.clear()
        self._open(step if resume else None)

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

    def collect(self, losses: Mapping[str, Tensor | None], examples: int, loader: int = 0) -> None:
        """Take in the losses of one evaluation batch; they are averaged over examples."""
        for task, loss in losses.items():
            if loss is not None:
                total, number = self._sums.get((loader, task), (0.0, 0.0))
                self._sums[loader, task] = (total + examples * float(loss), number + examples)

    def evaluate(
        self, split: str, metrics: Mapping[str, Any], step: int, epoch: int, loader: int = 0
    ) -> None:
        """Record an evaluation: the losses taken in, and the metrics named ``task_metric``.

        After training the file is opened for this row and closed again.

        Raises
        ------
        TrajlabError
            If the split is unknown.
        """
        found = [self._sums.pop((loader, task), (0.0, 0.0)) for task in self._tasks]
        (sums,) = sum_over_processes([torch.tensor(found, device=self._device)])
        values: dict[str, dict[str, float]] = {}
        for task, (total, number) in zip(self._tasks, sums.tolist(), strict=True):
            values[task] = _of_task(task, metrics)
            if number:
                values[task]["loss"] = total / number
        if not any(values.values()) or not self._parts:
            return  # nothing of the tasks, or training has not begun
        reopened = self._recorder is None
        if reopened:
            self._open(step)
        assert self._recorder is not None
        self._recorder.epoch = epoch
        self._recorder.evaluate(split, values, step)
        if reopened:
            self.end()

    def forget(self) -> None:
        """Drop the losses taken in, which were of no evaluation that counts."""
        self._sums.clear()

    def flush(self) -> None:
        """Write what is buffered, before a checkpoint is published."""
        if self._recorder is not None:
            self._recorder.flush()

    def end(self, status: str = "complete") -> None:
        """Close the file, if it is open."""
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            recorder.close(status)

    @property
    def _device(self) -> torch.device:
        model = self._parts.get("model")
        return next(model.parameters()).device if model else torch.device("cpu")

    def _open(self, from_step: int | None) -> None:
        self._recorder = Recorder(
            self.path,
            tasks=self._tasks,
            resume=from_step is not None,
            from_step=from_step,
            **self._parts,
            **self._settings,
        )


def _of_task(task: str, metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers named ``task_metric`` or ``task/metric`` under the name of the metric."""
    return {
        name[len(task) + 1 :]: float(value)
        for name, value in metrics.items()
        if name.startswith((f"{task}_", f"{task}/"))
    }
