"""Recording one run: buffer, flush, close."""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from trajlab.errors import TrajlabError, warn
from trajlab.store import parts, rows
from trajlab.store.buffer import Buffer
from trajlab.store.header import STATUSES, begun
from trajlab.store.journal import Journal
from trajlab.store.resume import claimed, resumed
from trajlab.store.table import Table

INTERVAL = 10.0  # seconds between flushes
FLUSH_BYTES = 16 * 2**20  # flush earlier when so much is buffered
LIMIT_BYTES = 256 * 2**20  # while the disk refuses, no row is taken when so much is buffered


class Writer:
    """Writes the trajectory of one run so that a kill at any instruction loses only the buffer.

    Rows are buffered in memory; a flush appends them to this session's log, `close` seals the run
    into its file. Threads may share a writer.

    Parameters
    ----------
    path
        The trajectory file to make, ending in ``.h5``.
    tasks
        Task names, in the order of every task axis.
    shared
        Names of the shared parameters; may be set later as the attribute `shared`.
    metadata
        What tells runs apart: setting, condition, method, seed, …
    provenance
        Versions, platform, command line, … of this process.
    resume
        Go on with the run at `path`; if there is none yet, start it.
    from_step
        The step of the checkpoint that training resumes from. What was recorded from there on is
        superseded: training rows at and after it, evaluation rows after it.
    allow_changes
        Resume although metadata or shared parameters differ from what was recorded; the new ones
        hold for the whole run.

    Raises
    ------
    TrajlabError
        If the file exists and `resume` is not set, if another process records it, if it was
        recorded with other tasks, or if its folder cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tasks: Sequence[str],
        shared: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        *,
        resume: bool = False,
        from_step: int | None = None,
        allow_changes: bool = False,
    ) -> None:
        self.path = parts.located(path)
        self.shared = list(shared)
        self._pid = os.getpid()
        self._mutex = threading.RLock()
        self._buffers: dict[str, Buffer] = {}
        self._closed = False
        if self.path.suffix != ".h5":
            raise TrajlabError(f"{path} does not end in .h5; give a name that does")
        if from_step is not None and not resume:
            raise TrajlabError(f"from_step is given for {path} without resume; set resume=True")
        header = begun(tasks, shared, metadata, provenance, from_step)
        # not as late as it is needed: imported while the process ends, HDF5 crashes it
        import_module("trajlab.store.hdf5.image")
        self._lock = claimed(self.path)
        try:
            if parts.exists(self.path):
                if not resume:
                    raise TrajlabError(
                        f"{path} exists; give another name, or resume=True to go on with it"
                    )
                header, tables = resumed(self.path, header, allow_changes)
                self.shared = list(header.shared)
                self._buffers = {table.name: Buffer(table, written=True) for table in tables}
        except BaseException:
            self._leave()
            raise
        self._journal = Journal(self.path, header)
        self._warned = False
        self._bytes = 0
        self._schedule()

    @property
    def created(self) -> str:
        """UTC time at which the run, not this session of it, began, ISO 8601."""
        return self._journal.header.created

    def rewind(self, step: int) -> None:
        """Go on from the checkpoint of `step`, as ``from_step`` says.

        Raises
        ------
        TrajlabError
            If this session has recorded rows already.
        """
        if self._journal.begun or any(buffer.rows for buffer in self._buffers.values()):
            raise TrajlabError(
                f"{self.path} has rows of this session already, so it cannot go back to step "
                f"{step}; load the checkpoint before recording"
            )
        self._journal.header = self._journal.header.rewound(step)

    def declare(self, table: Table) -> Table:
        """Make a table, or add columns and layers and renew attributes of one declared before.

        Returns
        -------
        Table
            The declaration that holds, joined with the earlier one.

        Raises
        ------
        TrajlabError
            If it contradicts the earlier declaration, lacks coordinates, lies inside a table, or is
            one too many.
        """
        with self._mutex:
            for name in self._buffers:
                if name.startswith(table.name + "/") or table.name.startswith(name + "/"):
                    raise TrajlabError(
                        f"table {table.name} would lie inside or around table {name}; rename it"
                    )
            buffer = self._buffers.get(table.name)
            joined = table if buffer is None else buffer.table.joined(table)
            rows.require_few(len({*self._buffers, table.name}), joined)
            if buffer is None:
                self._buffers[table.name] = Buffer(table)
            elif repr(joined) != repr(buffer.table):
                buffer.declare(joined)
            return joined

    def append(self, table: str, row: Mapping[str, Any]) -> None:
        """Buffer one row; every few seconds this also flushes.

        Parameters
        ----------
        table
            A declared table.
        row
            ``step`` and a value for each column; a missing one is stored as NaN, -1, false or
            empty text. Arrays are copied and have the shape of the column's axes after ``step``.

        Raises
        ------
        TrajlabError
            If the row does not fit its table, or the disk has refused for so long that
            `LIMIT_BYTES` are buffered; the row is left out then.
        """
        self._check_process()
        with self._mutex:
            self._check_open()
            self._make_room()
            buffer = self._buffer(table)
            buffer.append(row)
            self._bytes += buffer.row_bytes
            if self._bytes >= self._due_bytes or time.monotonic() >= self._due_time:
                self._flush_in_passing()

    def set_attributes(self, table: str, attributes: Mapping[str, Any]) -> None:
        """Add or renew facts about all rows of a table: text, numbers, flags or flat lists."""
        with self._mutex:
            self.declare(replace(self._buffer(table).table, attributes=attributes))

    def flush(self) -> None:
        """Write the buffered rows: when this returns they survive a power loss.

        Raises
        ------
        TrajlabError
            If the disk refuses; the rows stay buffered and the next flush tries again.
        """
        self._check_process()
        with self._mutex:
            self._check_open()
            try:
                self._journal.append(self._buffers.values(), self.shared)
            except OSError as error:
                raise TrajlabError(
                    f"{self.path} cannot be written ({error.strerror}); its rows are kept in "
                    f"memory: make room or give permission, and flush again"
                ) from error
            self._bytes = sum(len(b.rows) * b.row_bytes for b in self._buffers.values())
            self._schedule()
            self._journal.rotate()

    def close(self, status: str = "complete") -> None:
        """Flush, seal the run into its file, and give the lock back.

        In a forked process, and a second time, this does nothing. What is missing or damaged of
        what was recorded is warned of, and stands in the file.

        Parameters
        ----------
        status
            ``complete``, ``recording`` (more is to come) or ``recovered``.

        Raises
        ------
        TrajlabError
            If the disk refuses; nothing is lost then, and `close` can be called again.
        """
        if status not in STATUSES:
            raise TrajlabError(f"status {status!r} is unknown; use one of {', '.join(STATUSES)}")
        if os.getpid() != self._pid:
            return
        with self._mutex:
            if self._closed:
                return
            self.flush()
            try:
                self._journal.seal(status)
            except OSError as error:
                raise TrajlabError(
                    f"{self.path} cannot be written ({error.strerror}); all rows are safe in "
                    f"{parts.folder(self.path)}: make room or give permission, and close again"
                ) from error
            self._closed = True
            self._leave()

    def _leave(self) -> None:
        """Give the lock back; the parts folder goes unless something is in it."""
        parts.remove_folder(self.path)
        self._lock.release()

    def _buffer(self, table: str) -> Buffer:
        try:
            return self._buffers[table]
        except KeyError:
            raise TrajlabError(f"table {table!r} is not declared in {self.path}") from None

    def _check_open(self) -> None:
        if self._closed:
            raise TrajlabError(f"{self.path} is closed; resume it to record more")

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise TrajlabError(
                f"{self.path} is recorded by process {self._pid}; a forked process cannot write it"
            )

    def _schedule(self) -> None:
        """Set when the next flush in passing is due."""
        self._due_time = time.monotonic() + INTERVAL
        self._due_bytes = self._bytes + FLUSH_BYTES

    def _flush_in_passing(self) -> None:
        """Flush while training goes on: a refusing disk is warned of once and tried again."""
        try:
            self.flush()
            self._warned = False
        except TrajlabError as error:
            self._schedule()
            if not self._warned:
                warn(str(error))
                self._warned = True

    def _make_room(self) -> None:
        """Try the disk once more where memory is full, if it is time to; raise if it is still."""
        if self._bytes >= LIMIT_BYTES and time.monotonic() >= self._due_time:
            self._flush_in_passing()
        if self._bytes >= LIMIT_BYTES:
            raise TrajlabError(
                f"{self.path} cannot be written, and {LIMIT_BYTES >> 20} MiB of rows wait in "
                "memory, which takes no more: make room or give permission"
            )
