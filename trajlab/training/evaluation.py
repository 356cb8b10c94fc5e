"""Losses and metrics of every task over a whole split."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from trajlab.training.metrics import mean
from trajlab.training.setting import MultiTaskModel, Problem, Task

BATCH = 250  # a larger one falls out of a core's cache: LeNet was four times slower at 25,000


def evaluate(problem: Problem, split: str) -> dict[str, dict[str, Any]]:
    """Mean loss and metrics of every task over one whole split, in evaluation mode.

    Parameters
    ----------
    problem
        Tasks and model; the model's mode is restored.
    split
        ``train``, ``validation`` or ``test``.

    Returns
    -------
    dict
        ``{task: {"loss": nats, metric: value}}``; on the test split also ``"correct"``, whether
        each item is right, where that is a question.
    """
    with _evaluating(problem.model):
        return {
            name: _scores(problem.model, name, split, task) for name, task in problem.tasks.items()
        }


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def _scores(model: MultiTaskModel, name: str, split: str, task: Task) -> dict[str, Any]:
    inputs, targets = task.splits[split]
    device = next(model.parameters()).device
    metrics = {"loss": mean(task.loss), **task.metrics}
    sums: dict[str, Any] = dict.fromkeys(metrics, 0)
    right = []
    for start in range(0, len(targets), BATCH):
        rows = torch.arange(start, min(start + BATCH, len(targets)))
        wanted = targets[rows].to(device)
        outputs = model({name: inputs[rows].to(device)})[name]
        for key, metric in metrics.items():
            sums[key] = sums[key] + metric.count(outputs, wanted)
        if split == "test" and task.correct:
            right.append(task.correct(outputs, wanted).cpu())
    items = {"correct": torch.cat(right)} if right else {}
    return {key: metric.value(sums[key]) for key, metric in metrics.items()} | items
