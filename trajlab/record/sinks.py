"""Copies of what is recorded, for TensorBoard and Weights & Biases."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from itertools import combinations
from typing import Any

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.record.failures import Failures
from trajlab.store import Table

_CLOCKS = ("micro_step", "wall_time", "epoch")


class Sink(ABC):
    """Receives numbers by name and step; `trajlab import` reads them back.

    Evaluations are named ``<split>/<task>/<metric>``, other columns ``<table>/<task>/<column>``,
    cosines of task gradients ``gradients/<task>-<other>/cosine``. Columns with further axes are in
    the trajectory file only.
    """

    @abstractmethod
    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Take the numbers of one row."""

    @abstractmethod
    def close(self) -> None:
        """Take no more."""


class TensorBoard(Sink):
    """Mirrors a run to TensorBoard.

    Parameters
    ----------
    folder : path
        Where the event file is made.

    Raises
    ------
    TrajlabError
        If tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if find_spec("tensorboard") is None:
            raise TrajlabError("tensorboard is not installed; run pip install tensorboard")
        self._folder = os.path.abspath(os.path.expanduser(folder))
        self._writer: Any = None  # made by the process that writes

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write one scalar a name."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(self._folder)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is buffered."""
        if self._writer is not None:
            self._writer.close()

    def __getstate__(self) -> dict[str, Any]:
        """Leave an open file to the process that writes it."""
        return self.__dict__ | {"_writer": None}


class WandB(Sink):
    """Mirrors a run to Weights & Biases.

    Parameters
    ----------
    run : wandb.Run
        A run that was begun with ``wandb.init``; it is left open.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        run.define_metric("*", step_metric="trajlab_step")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log one row, with the step in ``trajlab_step``."""
        self._run.log({"trajlab_step": step, **values})

    def close(self) -> None:
        """Do nothing: who began the run ends it."""


def check_sinks(sinks: Sequence[Sink]) -> None:
    """Raise if something else than sinks is given.

    Raises
    ------
    TrajlabError
        Saying what to give.
    """
    if not isinstance(sinks, Iterable) or not all(isinstance(sink, Sink) for sink in sinks):
        raise TrajlabError("sinks= takes a list of sinks, as [sinks.TensorBoard(folder)]")


class Mirror:
    """Passes rows on to sinks.

    Parameters
    ----------
    sinks : sequence of Sink
        Where they go. One that fails gets no more rows.
    failures : Failures
        Is told of one that fails.
    """

    def __init__(self, sinks: Sequence[Sink], failures: Failures) -> None:
        self._sinks = list(sinks)
        self._failures = failures
        self._tables: dict[str, Table] = {}

    def declare(self, table: Table) -> None:
        """Note what the columns of a table are."""
        if self._sinks:
            self._tables[table.name] = table

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        """Pass on the numbers of one row."""
        if self._sinks:
            values = _numbers(self._tables[name], row)
            for sink in tuple(self._sinks):
                self._try(sink, lambda sink: sink.write(int(row["step"]), values))

    def close(self) -> None:
        """Close the sinks."""
        for sink in tuple(self._sinks):
            self._try(sink, lambda sink: sink.close())

    def _try(self, sink: Sink, do: Callable[[Sink], None]) -> None:
        try:
            do(sink)
        except Exception as error:  # a network's or a disk's, which is none of training
            self._sinks.remove(sink)
            then = "this sink gets no more; the trajectory file goes on"
            self._failures.tell(f"write to {type(sink).__name__}", error, then)


def _numbers(table: Table, row: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a row by name, without those that are missing."""
    first = table.name.removeprefix("evaluations/")
    tasks = table.coordinates.get("task", ())
    values: dict[str, float] = {}
    for column in table.columns:
        if column.name not in row or column.name in _CLOCKS or column.dtype == "str":
            continue
        value = np.asarray(row[column.name], dtype=float)
        if column.axes == ("step",):
            values[f"{first}/{column.name}"] = float(value)
        elif column.axes == ("step", "task"):
            for task, one in zip(tasks, value, strict=True):
                values[f"{first}/{task}/{column.name}"] = float(one)
        elif column.axes == ("step", "layer", "task", "other_task") and column.name == "gram":
            gram = value.sum(0)
            norms = np.sqrt(gram.diagonal())
            for i, j in combinations(range(len(tasks)), 2):
                cosine = gram[i, j] / (norms[i] * norms[j]) if norms[i] * norms[j] else np.nan
                values[f"{first}/{tasks[i]}-{tasks[j]}/cosine"] = float(cosine)
    return {name: value for name, value in values.items() if not np.isnan(value)}
