"""A fixed sample of data, for probes that measure on data of their own."""

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.record.probes.probe import TaskLosses

Data = Iterable[Any] | Mapping[str, Iterable[Any]]


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

    def mean_losses(self, model: nn.Module, task_losses: TaskLosses) -> dict[str, Tensor]:
        """Compute each task's mean loss over all its examples, with the graph.

        Batches count by their examples, so that a short last one weighs no more than its share.

        Parameters
        ----------
        model : nn.Module
            In the mode in which it is to be measured.
        task_losses : callable
            ``fn(model, batch) -> {task: per-example losses (n,)}``.

        Returns
        -------
        dict of str to Tensor
            A scalar for each task that has examples.

        Raises
        ------
        TrajlabError
            If the losses are not one number an example, or of a task that is not declared.
        """
        found: dict[str, list[Tensor]] = {}
        for wanted, batches in self._batches:
            for batch in batches:
                for task, losses in task_losses(model, batch).items():
                    if task not in self._tasks or losses.ndim != 1:
                        raise TrajlabError(
                            f"task_losses gave shape {tuple(losses.shape)} for task {task!r}; it "
                            f"must give per-example losses (n,) for the tasks "
                            f"{', '.join(self._tasks)}"
                        )
                    if task in wanted:
                        found.setdefault(task, []).append(losses)
        return {task: torch.cat(losses).mean() for task, losses in found.items()}


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
