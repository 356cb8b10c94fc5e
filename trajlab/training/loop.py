"""One clear training loop: every task draws its own batch, one step follows the summed loss."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trajlab.record import Recorder
from trajlab.training.setting import MultiTaskModel, Problem, Setting, Split


@dataclass(frozen=True)
class Plan:
    """Everything that tells one run from another.

    Attributes
    ----------
    setting, condition, method
        What is trained; ``method`` is ``single`` or ``uniform`` (the unweighted sum of losses).
    seed
        Fixes data split, initial weights and batch order.
    epochs, batch_size, learning_rate, momentum
        Of stochastic gradient descent at a constant learning rate.
    """

    setting: Setting
    condition: str
    method: str
    seed: int
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float

    @property
    def metadata(self) -> dict[str, Any]:
        """What is stored with the run."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return values | {"setting": self.setting.name}


def _batches(split: Split, size: int, generator: torch.Generator) -> Iterator[Split]:
    inputs, targets = split
    order = torch.randperm(len(targets), generator=generator)
    for rows in torch.split(order, size):
        yield inputs[rows], targets[rows]


@torch.no_grad()
def evaluate(problem: Problem, split: str) -> dict[str, dict[str, float]]:
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
        ``{task: {"loss": nats, metric: value}}``.
    """
    training = problem.model.training
    problem.model.eval()
    results = {}
    for name, task in problem.tasks.items():
        inputs, targets = task.splits[split]
        outputs = problem.model(inputs, name)
        metrics = {
            key: float(metric(outputs, targets).mean()) for key, metric in task.metrics.items()
        }
        results[name] = {"loss": float(task.loss(outputs, targets).double().mean()), **metrics}
    problem.model.train(training)
    return results


def train(
    plan: Plan,
    path: Path,
    *,
    probes: Callable[[Problem], Sequence[Any]],
    on_epoch: Callable[[], None] = lambda: None,
) -> Path:
    """Train one run and record it; a run that was interrupted starts again.

    Parameters
    ----------
    plan
        What to train.
    path
        The trajectory file.
    probes
        From the problem to the probes to record.
    on_epoch
        Called after every epoch, for progress.

    Returns
    -------
    Path
        The sealed trajectory file.
    """
    problem = plan.setting.build(plan.condition, plan.seed)
    model, tasks = problem.model, problem.tasks
    optimizer = torch.optim.SGD(model.parameters(), lr=plan.learning_rate, momentum=plan.momentum)
    generators = {
        name: torch.Generator().manual_seed(1000 * plan.seed + index)
        for index, name in enumerate(tasks)
    }

    def task_losses(model: MultiTaskModel, batches: dict[str, Split]) -> dict[str, Tensor]:
        return {name: tasks[name].loss(model(x, name), y) for name, (x, y) in batches.items()}

    with Recorder(
        path,
        model,
        tasks=list(tasks),
        shared=model.trunk,
        optimizer=optimizer,
        probes=probes(problem),
        task_losses=task_losses,
        metadata=plan.metadata,
        resume=True,
        from_step=0,
    ) as recorder:
        for epoch in range(plan.epochs + 1):
            for split in ("train", "validation", "test"):
                recorder.evaluate(split, evaluate(problem, split))
            if epoch == plan.epochs:
                break
            streams = [
                _batches(task.splits["train"], plan.batch_size, generators[name])
                for name, task in tasks.items()
            ]
            for batches in zip(*streams, strict=True):
                losses = task_losses(model, dict(zip(tasks, batches, strict=True)))
                recorder.backward({name: loss.mean() for name, loss in losses.items()})
                optimizer.step()
                optimizer.zero_grad()
            on_epoch()
    return path
