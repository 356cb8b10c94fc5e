"""Rows on their way to the file, while their values may still be on the device."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.record.failures import Failures
from trajlab.record.preemption import Preemption
from trajlab.record.sinks import Mirror
from trajlab.store import NullWriter, Table, Writer

_ROWS = 64  # of a device's memory, they take little
_SECONDS = 1.0  # less than the writer buffers anyway


class Rows:
    """Hands rows to the writer some at a time, so that a device is not waited for at each step.

    Parameters
    ----------
    writer : Writer or NullWriter
        Where the rows go.
    mirror : Mirror
        Where copies of their numbers go.
    failures : Failures
        Is told of a row that the writer refuses.
    """

    def __init__(self, writer: Writer | NullWriter, mirror: Mirror, failures: Failures) -> None:
        self._writer = writer
        self._mirror = mirror
        self._failures = failures
        self._preemption = Preemption(self.flush)
        self._waiting: deque[tuple[str, Mapping[str, Any]]] = deque()
        self._since = time.monotonic()
        self._closed = False

    def declare(self, table: Table) -> Table:
        """Declare a table before its first row, or with further columns; return it as it is."""
        stored = self._writer.declare(table)
        self._mirror.declare(stored)
        return stored

    def append(self, table: str, row: Mapping[str, Any]) -> None:
        """Take one row of a declared table.

        Its values may be tensors that nobody changes, or functions that make them of such: some
        rows at once, that takes a fraction of what it takes between the passes of training.

        Raises
        ------
        TrajlabError
            If the rows are closed.
        """
        if self._closed:
            raise TrajlabError(f"{self._writer.path} is closed; resume it to record more")
        with self._preemption:
            self._waiting.append((table, row))
            if len(self._waiting) >= _ROWS or time.monotonic() - self._since > _SECONDS:
                self.hand_over()

    def hand_over(self) -> None:
        """Give all rows to the writer."""
        while self._waiting:
            table, row = self._waiting[0]
            try:
                values = {name: _plain(value) for name, value in row.items()}
                self._writer.append(table, values)
            except Exception as error:
                then = f"the row of step {row.get('step')} is left out of the table"
                self._failures.tell(f"record a row of {table}", error, then)
                continue
            finally:
                self._waiting.popleft()
            self._mirror.append(table, values)
        self._since = time.monotonic()

    def flush(self) -> None:
        """Give all rows to the writer, and let it write them."""
        with self._preemption:
            self.hand_over()
            self._writer.flush()

    def close(self, status: str) -> None:
        """Give all rows to the writer, seal its file, and take no more."""
        self._closed = True
        with self._preemption:
            try:
                self.hand_over()
                self._mirror.close()
            finally:
                self._writer.close(status)
            self._preemption.stop()


def _plain(value: Any) -> Any:
    """Return a tensor, a function that makes one, or anything else as what the writer takes."""
    if callable(value):
        value = value()
    if isinstance(value, Tensor):
        return (
            value.detach().double().cpu().numpy() if value.is_floating_point() else value.tolist()
        )
    return value
