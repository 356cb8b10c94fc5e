"""A fixed sample of data, for probes that measure on data of their own."""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.measure.functional import evaluate_at
from trajlab.record.moment import TaskLosses

Data = Iterable[Any] | Mapping[str, Iterable[Any]]
LossFunction = Callable[[Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class BatchLosses:
    """Losses of the examples of one batch.

    Attributes
    ----------
    sums : Tensor
        Shape (n,): each example's loss; its sum over valid entries where there are several.
    counts : Tensor
        Shape (n,): what each example adds to the denominator: 1, its valid entries, or its class
        weight.
    """

    sums: Tensor
    counts: Tensor

    @property
    def mean(self) -> Tensor:
        """The loss of the batch, a scalar."""
        return self.sums.sum() / self.counts.sum()


class Sample:
    """Batches drawn once and kept, the same at every measurement and in every run.

    Draw it inside `trajlab.measure.guard`: it seeds the global random streams of the CPU.

    Parameters
    ----------
    data : iterable of batches, or mapping of str to iterable of batches
        A loader, or a list of batches; for tasks with inputs of their own, one a task.
    tasks : sequence of str
        All declared tasks.
    seed : int
        For a loader that shuffles or augments.

    Attributes
    ----------
    identity : dict
        ``sample_seed``, and ``sample_sha256`` of each task's batches, by which runs are compared.

    Raises
    ------
    TrajlabError
        If the data names a task that is not declared, or holds no batch.
    """

    def __init__(self, data: Data, tasks: Sequence[str], seed: int) -> None:
        if isinstance(data, Mapping):
            for task in data:
                if task not in tasks:
                    raise TrajlabError(
                        f"data= holds batches of task {task!r}, which is not declared; declare it "
                        f"in tasks=, beside {', '.join(tasks)}"
                    )
            sources: list[tuple[tuple[str, ...], Iterable[Any]]] = [
                ((task,), batches) for task, batches in data.items()
            ]
        else:
            sources = [(tuple(tasks), data)]
        self._tasks = tuple(tasks)
        self._batches = [(wanted, _draw(source, seed)) for wanted, source in sources]
        if not any(batches for _, batches in self._batches):
            raise TrajlabError("data= holds no batch; give a loader or a list of batches")
        digests: dict[str, str] = {}
        for wanted, batches in self._batches:
            digests |= dict.fromkeys(wanted, _digest(batches))
        self.identity = {
            "sample_seed": seed,
            "sample_sha256": [digests.get(task, "") for task in tasks],
        }

    def rounds(self) -> Iterator[list[tuple[tuple[str, ...], Any]]]:
        """Yield the batches of equal position: (the tasks that they serve, the batch)."""
        longest = max(len(batches) for _, batches in self._batches)
        for position in range(longest):
            yield [
                (wanted, batches[position])
                for wanted, batches in self._batches
                if position < len(batches)
            ]

    def losses(
        self, wanted: Sequence[str], batch: Any, model: nn.Module, task_losses: TaskLosses
    ) -> dict[str, BatchLosses]:
        """Compute the losses of one batch, for the tasks that it serves.

        Parameters
        ----------
        wanted : sequence of str
            The tasks that the batch serves.
        batch : object
            One of `rounds`.
        model : nn.Module
            In the mode in which it is to be measured.
        task_losses : callable
            ``fn(model, batch) -> {task: per-example losses (n,)}``, or a pair of losses and
            denominators for each task.

        Raises
        ------
        TrajlabError
            If the losses are not one number an example, or of a task that is not declared.
        """
        found = {}
        for task, losses in task_losses(model, batch).items():
            sums, counts = losses if isinstance(losses, tuple) else (losses, None)
            counts = torch.ones_like(sums) if counts is None else counts.detach()
            if task not in self._tasks or sums.ndim != 1 or counts.shape != sums.shape:
                raise TrajlabError(
                    f"task_losses gave shape {tuple(sums.shape)} for task {task!r}; it must give "
                    "per-example losses (n,), or a pair of losses and denominators (n,), for the "
                    f"tasks {', '.join(self._tasks)}"
                )
            if task in wanted:
                found[task] = BatchLosses(sums, counts)
        return found

    def mean_losses(self, model: nn.Module, task_losses: TaskLosses) -> dict[str, Tensor]:
        """Compute each task's loss over all its examples, with the graph.

        The sum of the losses by the sum of their denominators, so that neither a short last batch
        nor one with more ignored entries weighs more than its share.

        Parameters
        ----------
        model, task_losses
            As for `losses`.

        Returns
        -------
        dict of str to Tensor
            A scalar for each task that has examples.

        Raises
        ------
        TrajlabError
            As `losses` does.
        """
        by_task: dict[str, list[BatchLosses]] = {}
        for entries in self.rounds():
            for wanted, batch in entries:
                for task, losses in self.losses(wanted, batch, model, task_losses).items():
                    by_task.setdefault(task, []).append(losses)
        return {
            task: torch.cat([part.sums for part in parts]).sum()
            / torch.cat([part.counts for part in parts]).sum()
            for task, parts in by_task.items()
        }

    def mean_loss_function(
        self, task: str, model: nn.Module, task_losses: TaskLosses
    ) -> LossFunction:
        """Return what `mean_losses` gives for a task, as a function of the parameters.

        Parameters
        ----------
        task : str
            One that has examples.
        model, task_losses
            As for `losses`.
        """
        return lambda parameters: evaluate_at(
            parameters, model, lambda m: self.mean_losses(m, task_losses)[task]
        )

    def loss_functions(
        self, model: nn.Module, task_losses: TaskLosses
    ) -> dict[str, list[LossFunction]]:
        """Return, for each task and whole batch, its loss as a function of the parameters.

        Batches with fewer examples than the task's first are dropped.

        Parameters
        ----------
        model, task_losses
            As for `losses`.
        """
        functions: dict[str, list[LossFunction]] = {}
        sizes: dict[str, int] = {}
        for entries in self.rounds():
            for wanted, batch in entries:
                losses = self.losses(wanted, batch, model, task_losses)
                for task, found in losses.items():
                    if len(found.sums) >= sizes.setdefault(task, len(found.sums)):
                        functions.setdefault(task, []).append(
                            self._loss_function(task, batch, model, task_losses)
                        )
        return functions

    def _loss_function(
        self, task: str, batch: Any, model: nn.Module, task_losses: TaskLosses
    ) -> LossFunction:
        def loss(parameters: Mapping[str, Tensor]) -> Tensor:
            return evaluate_at(
                parameters, model, lambda m: self.losses((task,), batch, m, task_losses)[task].mean
            )

        return loss


def _draw(source: Iterable[Any], seed: int) -> list[Any]:
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach for CUDA as well
    np.random.seed(seed)  # noqa: NPY002 - what data sets draw from
    random.seed(seed)
    with _own_generators(source) as generators:
        for generator in generators:
            generator.manual_seed(seed)
        return list(source)


@contextmanager
def _own_generators(source: Iterable[Any]) -> Iterator[list[torch.Generator]]:
    """Lend the generators of a DataLoader, which may be the training loader."""
    owners = [source, getattr(source, "sampler", None)]
    generators = [getattr(owner, "generator", None) for owner in owners]
    lent = [generator for generator in generators if generator is not None]
    states = [generator.get_state() for generator in lent]
    try:
        yield lent
    finally:
        for generator, state in zip(lent, states, strict=True):
            generator.set_state(state)


def _digest(batches: list[Any]) -> str:
    digest = hashlib.sha256()

    def update(content: Any) -> None:
        if isinstance(content, Tensor):
            digest.update(content.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(content, np.ndarray):
            digest.update(content.tobytes())
        elif isinstance(content, Mapping):
            update(list(content.items()))
        elif isinstance(content, list | tuple):
            for part in content:
                update(part)
        else:
            digest.update(repr(content).encode())

    update(batches)
    return digest.hexdigest()
