"""Recording a Hugging Face Trainer."""

import atexit
import os
from collections.abc import Mapping, Sequence
from math import floor
from typing import Any

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.record.integrations.session import Session
from trajlab.record.loop.losses import Weights, weighted_sum

try:
    from transformers import Trainer, TrainerCallback
    from transformers.trainer_pt_utils import find_batch_size
except ImportError as error:
    raise TrajlabError("transformers is not installed; run pip install transformers") from error


class RecorderCallback(TrainerCallback):  # type: ignore[misc]
    """Records a ``Trainer`` whose ``compute_loss`` returns `total_loss`.

    A step is the trainer's ``global_step``. Evaluations are recorded with the losses of each task
    and the metrics that ``compute_metrics`` names ``<task>_<metric>``, under the name of the
    evaluation set (``eval_dataset={"train": …, "test": …}``), or as ``split`` if it has none.
    Training that resumes from a checkpoint goes on in the same file. Several callbacks may record
    one training, each into its own file.

    Parameters
    ----------
    path, tasks
        As for `Recorder`.
    split : str
        What evaluations of a set without a name are: ``train``, ``validation`` or ``test``.
    train_sample : int, optional
        Beside every evaluation, evaluate so many examples of the training set, too: the same ones
        each time and in every run.
    settings
        Further arguments of `Recorder`: ``shared``, ``probes``, ``metadata``, ….

    Raises
    ------
    TrajlabError
        If the ``Trainer`` decides an argument itself; or, when training begins, as `Recorder`.

    Examples
    --------
    In a trainer of one's own (``examples/huggingface.py`` is a whole one)::

        class MultiTaskTrainer(Trainer):
            def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
                outputs = model(inputs["x"])
                losses = {t: ce(outputs[t], inputs[t]) for t in ("left", "right")}
                loss = total_loss(self, inputs, losses)
                return (loss, outputs) if return_outputs else loss

        callback = RecorderCallback("run.h5", tasks=["left", "right"], shared=model.trunk)
        MultiTaskTrainer(model, args, train_dataset=data, callbacks=[callback]).train()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tasks: Sequence[str],
        *,
        split: str = "validation",
        train_sample: int | None = None,
        **settings: Any,
    ) -> None:
        self.session = Session(path, tasks, settings, train_sample)
        self._split = split
        self.trainer: Trainer | None = None  # whose compute_loss evaluates the sample

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the file, before the first step."""
        if self.session.sample is not None:
            self.session.sample.draw(kwargs.get("train_dataloader"))
        optimizer = kwargs["optimizer"]  # accelerate's, around torch's
        self.session.begin(
            kwargs["model"],
            getattr(optimizer, "optimizer", optimizer),
            getattr(optimizer, "scaler", None),
            state.global_step,
            resume=state.global_step > 0,
        )
        atexit.register(self._leave)  # a Trainer tells nobody of an exception

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write what a checkpoint counts on before it is saved."""
        self.session.check_observed("compute_loss")
        if control.should_save:
            self.session.flush()

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any], **kwargs: Any
    ) -> None:
        """Record an evaluation."""
        prefix = next((n[: -len("loss")] for n in metrics if n.endswith("_loss")), "eval_")
        for name in metrics:  # always there, and after the set's name
            if name.endswith("_runtime"):
                prefix = name[: -len("runtime")]
        split = prefix.removeprefix("eval_").rstrip("_") or self._split
        scores = {n.removeprefix(prefix): v for n, v in metrics.items() if n.startswith(prefix)}
        reached = state.global_step, _completed(state.epoch)
        self.session.evaluate(split, scores, *reached)
        if self.trainer is not None:
            self.session.evaluate_sample(kwargs["model"], self._compute, *reached)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the file."""
        self.session.end()
        self.trainer = None
        atexit.unregister(self._leave)

    def _compute(self, batch: Any, number: int) -> None:
        trainer = self.trainer
        assert trainer is not None
        with trainer.compute_loss_context_manager():
            trainer.compute_loss(trainer.model, trainer._prepare_inputs(batch))

    def _leave(self) -> None:
        self.session.end("recording")

    def __getstate__(self) -> dict[str, Any]:
        """Leave the trainer to the process that trains."""
        return self.__dict__ | {"trainer": None}


def total_loss(
    trainer: Trainer,
    inputs: Any,
    losses: Mapping[str, Tensor | None],
    weights: Weights | None = None,
) -> Tensor:
    """Return the weighted sum of the losses, and hand them to the callbacks that record.

    Without such a callback it is the sum alone. What is recorded under gradient accumulation are
    the gradients of the mean over its batches.

    Parameters
    ----------
    trainer : Trainer
        The one that computes the loss.
    inputs : batch
        What ``compute_loss`` was given; its size weights the losses in evaluations.
    losses : mapping of str to Tensor or None
        The scalar loss of each task; one left out, or None, is omitted.
    weights : mapping of str to float or Tensor, optional
        The weight of each loss, 1 by default.
    """
    every = trainer.callback_handler.callbacks
    recorders = [each for each in every if isinstance(each, RecorderCallback)]
    for callback in [each for each in recorders if each.session.sampling] or recorders:
        session, callback.trainer = callback.session, trainer
        if torch.is_grad_enabled():
            steps = getattr(trainer, "current_gradient_accumulation_steps", None)
            session.observe(
                losses,
                weights,
                trainer.state.global_step,
                _completed(trainer.state.epoch),
                steps or trainer.args.gradient_accumulation_steps,
            )
        else:
            session.collect(losses, find_batch_size(inputs) or 1)
    return weighted_sum(losses, weights)


def _completed(epoch: float | None) -> int:
    return floor((epoch or 0.0) + 1e-6)
