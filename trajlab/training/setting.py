"""A setting: which data, split into which tasks, through which model."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.measure.examples.likelihood import Likelihood
from trajlab.training.metrics import Metric
from trajlab.training.models import PLAIN, Shape

Module = TypeVar("Module", bound=nn.Module)
Names = tuple[str, ...]


class Examples(Protocol):
    """A tensor, or what returns one when it is indexed with rows: images read when needed."""

    def __len__(self) -> int:
        """Return the number of examples."""

    def __getitem__(self, rows: Tensor, /) -> Tensor:
        """Return what belongs to these rows ``(n,)``."""


class TaskNames(Protocol):
    """The tasks of a setting's conditions, as `trajlab.training.conditions` has them."""

    @property
    def setting(self) -> str:
        """Name of the setting."""

    def __call__(self, condition: str, /) -> Names:
        """Return the names of the tasks that are trained under a condition."""


Split = tuple[Examples, Examples]
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
        Metrics by name.
    correct
        From outputs and targets to whether each example is right ``(n,)``, where that is a
        question.
    likelihood
        From outputs to the distribution that the loss is the likelihood of; class logits are one.
    """

    splits: Mapping[str, Split]
    loss: Callable[[Tensor, Tensor], Tensor]
    metrics: Mapping[str, Metric]
    correct: Callable[[Tensor, Tensor], Tensor] | None = None
    likelihood: Callable[[Tensor], Tensor | Likelihood] = lambda outputs: outputs


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

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each task's outputs for its inputs ``(n, ...)``.

        A tensor that several tasks share goes through the trunk once.
        """
        features: dict[int, Tensor] = {}
        for tensor in inputs.values():
            if id(tensor) not in features:
                features[id(tensor)] = self.trunk(tensor)
        return {name: self.heads[name](features[id(tensor)]) for name, tensor in inputs.items()}


@dataclass(frozen=True)
class Problem:
    """A setting under one condition and seed, ready to train.

    Attributes
    ----------
    tasks
        Tasks by name, the first one first.
    model
        The trunk and one head a task.
    shared_inputs
        Whether all tasks have the same inputs, so that one batch serves them all; otherwise every
        task draws its own.
    """

    tasks: Mapping[str, Task]
    model: MultiTaskModel
    shared_inputs: bool = False


@dataclass(frozen=True)
class Setting:
    """A named family of problems.

    Attributes
    ----------
    tasks
        From a condition (what is trained) to the names of its tasks.
    build
        From condition, seed and, where data are read from disk, their folder to a problem. The
        seed fixes the split, the trunk and the first task's head and batches alike in every
        condition, so that runs of one seed are pairs.
    source
        Where the data come from.
    defaults
        Hyper-parameters to use where a study of this setting alone names none.
    shapes
        Whether `build` takes a `Shape` of the trunk, as a fourth argument; others have one network.
    """

    tasks: TaskNames
    build: Callable[..., Problem]
    _: KW_ONLY
    source: str
    defaults: Mapping[str, float] = field(default_factory=dict)
    shapes: bool = False

    @property
    def name(self) -> str:
        """Name that runs have as their ``setting``."""
        return self.tasks.setting

    def problem(
        self, condition: str, seed: int, root: Path | None = None, shape: Shape = PLAIN
    ) -> Problem:
        """Build the problem with a trunk of some shape.

        Raises
        ------
        TrajlabError
            If the setting's network has one shape only.
        """
        if self.shapes:
            return self.build(condition, seed, root, shape)
        if shape != PLAIN:
            raise TrajlabError(
                f"the network of {self.name} has neither width, depth nor dropout to set; leave "
                "them out"
            )
        return self.build(condition, seed, root)


def seeded(build: Callable[[], Module], seed: int) -> Module:
    """Build a module with a random stream of its own, so that it does not depend on others.

    Parameters
    ----------
    build
        Makes the module.
    seed
        Seed of its initial weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
