"""Losses and metrics of every task over a whole split."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from trajlab.training.batches import pick
from trajlab.training.metrics import mean
from trajlab.training.setting import Problem

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
    names = list(problem.tasks)
    groups = [names] if problem.shared_inputs else [[name] for name in names]
    with _evaluating(problem.model):
        scores = [_scores(problem, group, split) for group in groups]
    return {name: values for group in scores for name, values in group.items()}


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def _scores(problem: Problem, names: list[str], split: str) -> dict[str, dict[str, Any]]:
    """Score tasks that have the same inputs, which are read and go through the trunk once."""
    tasks = {name: problem.tasks[name] for name in names}
    inputs, _ = tasks[names[0]].splits[split]
    device = next(problem.model.parameters()).device
    metrics = {name: {"loss": mean(task.loss), **task.metrics} for name, task in tasks.items()}
    counts: dict[str, dict[str, list[Tensor]]] = {
        name: {key: [] for key in own} for name, own in metrics.items()
    }
    right: dict[str, list[Tensor]] = {name: [] for name in names}
    for start in range(0, len(inputs), BATCH):
        rows = torch.arange(start, min(start + BATCH, len(inputs)))
        outputs = problem.model(dict.fromkeys(names, pick(inputs, rows).to(device)))
        for name, task in tasks.items():
            wanted = pick(task.splits[split][1], rows).to(device)
            for key, metric in metrics[name].items():
                counts[name][key].append(metric.count(outputs[name], wanted))
            if split == "test" and task.correct:
                right[name].append(task.correct(outputs[name], wanted).cpu())
    return {
        name: {
            key: metric.value(reduce(metric.join, counts[name][key])) for key, metric in own.items()
        }
        | ({"correct": torch.cat(right[name])} if right[name] else {})
        for name, own in metrics.items()
    }
