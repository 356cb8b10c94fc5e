"""A setting: which data, split into which tasks, through which model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)
Split = tuple[Tensor, Tensor]
"""Inputs ``(n, ...)`` and targets ``(n, ...)`` of one split."""


@dataclass(frozen=True)
class Task:
    """One task: its splits, its loss and its metrics.

    Attributes
    ----------
    splits
        ``train``, ``validation`` and ``test``, each inputs and targets.
    loss
        From outputs and targets to per-example losses ``(n,)``.
    metrics
        From outputs and targets to one value an example ``(n,)``, averaged over the split; larger
        is better.
    """

    splits: Mapping[str, Split]
    loss: Callable[[Tensor, Tensor], Tensor]
    metrics: Mapping[str, Callable[[Tensor, Tensor], Tensor]]


class MultiTaskModel(nn.Module):
    """A shared trunk and one head a task.

    Parameters
    ----------
    trunk
        Shared by all tasks.
    heads
        One module a task, by task name.
    """

    def __init__(self, trunk: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict(heads)

    def forward(self, inputs: Tensor, task: str) -> Tensor:
        """Return one task's outputs for inputs ``(n, ...)``."""
        outputs: Tensor = self.heads[task](self.trunk(inputs))
        return outputs


@dataclass(frozen=True)
class Problem:
    """A setting under one condition and seed, ready to train: every task has its own inputs."""

    tasks: Mapping[str, Task]
    model: MultiTaskModel


class Build(Protocol):
    """From condition, seed and the data's folder to a problem."""

    def __call__(self, condition: str, seed: int, root: Path | None = None) -> Problem:
        """Build the problem."""


@dataclass(frozen=True)
class Setting:
    """A named family of problems.

    Attributes
    ----------
    name
        Stored as the run's ``setting``.
    conditions
        What may be trained beside the first task; ``""`` is the first task alone.
    build
        From condition, seed and, where data are read from disk, their folder to a problem. The
        seed fixes the split, the trunk and the first
        task's head and batches alike in every condition, so that runs are comparable.
    source
        Where the data come from.
    """

    name: str
    conditions: tuple[str, ...]
    build: Build
    source: str


def seeded(build: Callable[[], Module], seed: int) -> Module:
    """Build a module with a random stream of its own, so that it does not depend on others.

    Parameters
    ----------
    build
        Makes the module.
    seed
        Of its initial weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def correct(outputs: Tensor, targets: Tensor) -> Tensor:
    """Per-example accuracy in percent: 100 where the largest logit is the target's, else 0."""
    return (outputs.argmax(-1) == targets).to(torch.float64) * 100
