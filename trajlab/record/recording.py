"""A run's file while it is recorded: how it is flushed, resumed and sealed."""

import atexit
import logging
import os
import weakref
from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any, Self

import torch.distributed as dist
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.record.loop.following import CHANGES
from trajlab.record.loop.loop import Loop
from trajlab.record.loop.loss_scale import LossScale
from trajlab.record.loop.setup import Setup
from trajlab.record.provenance import provenance
from trajlab.record.rows import Rows
from trajlab.store import NullWriter, Writer

_logger = logging.getLogger("trajlab")


class Recording:
    """The file of one run, from its opening until it is sealed.

    It is sealed when it is closed, when nobody holds it any more, or as the process ends.

    Parameters
    ----------
    writer : Writer or NullWriter
        What writes the file.
    loop : Loop
        What is watched; it does not hold this object.
    rows : Rows
        What is recorded; nor do they.
    """

    def __init__(self, writer: Writer | NullWriter, loop: Loop, rows: Rows) -> None:
        self._writer = writer
        self._loop = loop
        self._rows = rows
        self._abandoned = weakref.finalize(self, _abandon, os.getpid(), writer.path, loop, rows)
        self._abandoned.atexit = False  # too late: h5py has put its converters away by then
        atexit.register(self._abandoned)

    @property
    def step(self) -> int:
        """Optimizer updates completed."""
        return self._loop.clock.step

    @property
    def epoch(self) -> int:
        """Epochs completed: counted at evaluations, unless it is set."""
        return self._loop.clock.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._loop.clock.set_epoch(epoch)

    def flush(self) -> None:
        """Write what is buffered: when this returns it survives a power loss.

        Raises
        ------
        TrajlabError
            If the disk refuses; nothing is lost, and the next flush tries again.
        """
        self._rows.flush()

    def describe(self, table: str, facts: Mapping[str, Any]) -> None:
        """Write down what is true of all rows of a table, such as which data they are of.

        Parameters
        ----------
        table : str
            One that was recorded, such as ``evaluations/train``.
        facts : mapping
            Texts, numbers, flags or flat lists, read back as the attributes of the table.

        Raises
        ------
        TrajlabError
            If there is no such table, or a fact is of another kind.
        """
        self._writer.set_attributes(table, facts)

    def close(self, status: str = "complete") -> None:
        """Seal the file; a second time this does nothing.

        Parameters
        ----------
        status : str
            ``complete``, or ``recording`` for a run that is to be resumed.

        Raises
        ------
        TrajlabError
            If the disk refuses; nothing is lost, and `close` can be called again.
        """
        if status == "complete" and not self._loop.clock.begun:
            _logger.warning(
                "trajlab recorded no training step in %s: neither backward() nor observe() was "
                "called before close()",
                self._writer.path,
            )
        _seal(self._loop, self._rows, status)
        self._abandoned.detach()
        atexit.unregister(self._abandoned)

    def state_dict(self) -> dict[str, Any]:
        """Flush, and return what a checkpoint must hold to resume from here."""
        self.flush()
        return self._loop.clock.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; what was recorded from its step on is superseded.

        Raises
        ------
        TrajlabError
            If this recorder has recorded already.
        """
        self._rows.hand_over()
        self._writer.rewind(state["step"])
        self._loop.clock.load_state_dict(state)

    def __enter__(self) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        raise TrajlabError(
            f"the recorder of {self._writer.path} can neither be copied nor sent to another "
            "process; make it in the process that trains, and keep it out of what is saved"
        )

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close("recording")
        except Exception as failure:  # must not take the place of the user's own error
            _logger.error("trajlab could not seal %s: %s", self._writer.path, failure)


def opened(
    path: str | os.PathLike[str], setup: Setup, metadata: Mapping[str, Any] | None, **how: Any
) -> Writer | NullWriter:
    """Return what writes a run: its file on rank 0, nothing on the others.

    Parameters
    ----------
    path : path
        The trajectory file.
    setup : Setup
        The loop.
    metadata : mapping or None
        What tells runs apart.
    **how
        As `Writer` takes them: ``resume``, ``from_step``, ``allow_changes``.
    """
    if dist.is_available() and dist.is_initialized() and dist.get_rank() > 0:
        return NullWriter(path)
    told = list(setup.parameters or ()), metadata, provenance(setup.inner)
    return Writer(path, setup.tasks, *told, **how)


def mark_skipped(scale: LossScale, rows: Rows) -> bool:
    """Mark the passes of the last update if the loss scaler skipped it."""
    skipped = scale.skipped()
    for row in skipped:
        rows.append("losses", {**row, "skipped": True})  # in the place of the former row
    return bool(skipped)


def mark_rate(loop: Loop, rows: Rows) -> None:
    """Correct the learning rate of an update that another optimizer has made than was expected."""
    rate = loop.clock.learning_rate
    for row in loop.scale.rows:
        if row["learning_rate"] != rate and not isnan(rate):
            rows.append("losses", {**row, "learning_rate": rate})


def mark_shared(
    loop: Loop,
    losses: Mapping[str, Tensor],
    step: int | None,
    rows: Rows,
    writer: Writer | NullWriter,
) -> None:
    """Look which parameters are shared at present, and mark where they change.

    Parameters
    ----------
    loop : Loop
        Whose parameters.
    losses : mapping of str to Tensor
        The losses of the current batch; empty where there is none.
    step : int or None
        The one that is about to begin, if that is not the one the loop counts.
    rows : Rows
        Where the mark goes.
    writer : Writer or NullWriter
        Keeps the names of all that were shared so far.
    """
    added, removed = loop.shared.follow(losses)
    if added or removed:
        rows.declare(CHANGES)
        texts = {"added": ", ".join(added), "removed": ", ".join(removed)}
        at = loop.clock.step if step is None else step
        rows.append(CHANGES.name, {"step": at, **texts})
    if loop.shared.ever != tuple(writer.shared):
        writer.shared = list(loop.shared.ever)


def _seal(loop: Loop, rows: Rows, status: str) -> None:
    loop.stop()
    try:
        mark_skipped(loop.scale, rows)
    finally:
        rows.close(status)


def _abandon(pid: int, path: Path, loop: Loop, rows: Rows) -> None:
    """Seal the file of a recorder that nobody holds any more, or as the process ends."""
    if os.getpid() != pid:  # a forked process's copy of it
        return
    try:
        _seal(loop, rows, "recording")
        _logger.warning("trajlab sealed %s, whose recorder was not closed; call close()", path)
    except Exception as failure:  # there is nobody to raise it to
        _logger.error("trajlab could not seal %s: %s", path, failure)
