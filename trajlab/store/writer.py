"""Recording one run: buffer, flush, close."""

import os
import threading
import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store import parts
from trajlab.store.buffer import Buffer
from trajlab.store.header import STATUSES, Header, Session, plain
from trajlab.store.lock import Lock
from trajlab.store.log import Log
from trajlab.store.merge import merge, seal_log
from trajlab.store.resume import resumed
from trajlab.store.snapshot import take
from trajlab.store.table import Table, text
from trajlab.store.view import view

INTERVAL = 10.0  # seconds between flushes
FLUSH_BYTES = 16 * 2**20  # flush earlier when so much is buffered
LIMIT_BYTES = 256 * 2**20  # while the disk refuses, no row is taken when so much is buffered
ROTATE_BYTES = 64 * 2**20  # begin another log when one is so long: a log is read whole
MERGE_PARTS = 100  # of so many sessions that were cut off, the next one first makes a sealed file


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
        self._log: Log | None = None
        if self.path.suffix != ".h5":
            raise TrajlabError(f"{path} does not end in .h5; give a name that does")
        if from_step is not None and not resume:
            raise TrajlabError(f"from_step is given for {path} without resume; set resume=True")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        header = Header(
            run_id=uuid.uuid4().hex,
            created=now,
            status="recording",
            tasks=tuple(map(text, tasks)),
            shared=tuple(map(text, shared)),
            metadata=plain({} if metadata is None else metadata),
            sessions=(Session(now, from_step, plain(provenance or {})),),
            trajlab_version=version("trajlab"),
        )
        # not as late as it is needed: imported while the process ends, HDF5 crashes it
        import_module("trajlab.store.hdf5.image")
        self._lock = self._prepare()
        try:
            if not resume and parts.exists(self.path):
                raise TrajlabError(
                    f"{path} exists; give another name, or resume=True to go on with it"
                )
            self._header = self._resumed(header, allow_changes)
        except BaseException:
            self._leave()
            raise
        self._published = False
        self._warned = False
        self._bytes = 0
        self._schedule()

    @property
    def created(self) -> str:
        """UTC time at which the run, not this session of it, began, ISO 8601."""
        return self._header.created

    def rewind(self, step: int) -> None:
        """Go on from the checkpoint of `step`, as ``from_step`` says.

        Raises
        ------
        TrajlabError
            If this session has recorded rows already.
        """
        if self._published or any(buffer.rows for buffer in self._buffers.values()):
            raise TrajlabError(
                f"{self.path} has rows of this session already, so it cannot go back to step "
                f"{step}; load the checkpoint before recording"
            )
        *earlier, session = self._header.sessions
        sessions = (*earlier, replace(session, rewind_to=step))
        self._header = replace(self._header, sessions=sessions)

    def declare(self, table: Table) -> Table:
        """Make a table, or add columns and layers and renew attributes of one declared before.

        Returns
        -------
        Table
            The declaration that holds, joined with the earlier one.

        Raises
        ------
        TrajlabError
            If it contradicts the earlier declaration, lacks coordinates, or lies inside a table.
        """
        with self._mutex:
            for name in self._buffers:
                if name.startswith(table.name + "/") or table.name.startswith(name + "/"):
                    raise TrajlabError(
                        f"table {table.name} would lie inside a table or hold one ({name}); "
                        f"rename it"
                    )
            buffer = self._buffers.get(table.name)
            if buffer is None:
                self._buffers[table.name] = Buffer(table)
                return table
            joined = buffer.table.joined(table)
            if repr(joined) != repr(buffer.table):
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
            buffer = self._buffer(table)
            if self._bytes >= LIMIT_BYTES:
                self._make_room()
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
                self._append()
            except OSError as error:
                raise TrajlabError(
                    f"{self.path} cannot be written ({error.strerror}); its rows are kept in "
                    f"memory: make room or give permission, and flush again"
                ) from error
            self._bytes = sum(len(b.rows) * b.row_bytes for b in self._buffers.values())
            self._schedule()
            if self._log is not None and self._log.size >= ROTATE_BYTES:
                self._rotate(self._log)

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
                self._merge(status)
            except OSError as error:
                raise TrajlabError(
                    f"{self.path} cannot be written ({error.strerror}); all rows are safe in "
                    f"{parts.folder(self.path)}: make room or give permission, and close again"
                ) from error
            self._closed = True
            self._leave()

    def _append(self) -> None:
        """Append what is buffered to the log, and make one if there is none."""
        header = replace(self._header, shared=tuple(self.shared))
        buffers = list(self._buffers.values())
        filled = [(buffer, len(buffer.rows)) for buffer in buffers if buffer.rows]
        if self._log is not None and not self._log.present():
            self._log = self._restored(self._log)
            header = replace(self._header, shared=header.shared)
        changed = any(buffer.changed for buffer in buffers)
        written = self._log.header if self._log is not None else self._header
        if self._published and not filled and not changed and header == written:
            return
        if self._log is None:
            number = max(header.last_part, *parts.numbers(self.path), 0) + 1
            header = self._header = replace(header, last_part=number)
            self._log = Log(parts.log(self.path, number))
        log = self._log
        new = [buffer for buffer in buffers if buffer.changed or not log.size]
        try:
            log.append(
                header,
                [buffer.table for buffer in new],
                [(buffer.table, count, buffer.arrays(count)) for buffer, count in filled],
            )
        except FileExistsError:
            self._log = None  # somebody else's; the next flush takes another name
            raise
        self._header, self._published = header, True
        for buffer in new:
            buffer.changed = False
        for buffer, count in filled:
            del buffer.rows[:count]

    def _restored(self, log: Log) -> Log:
        """Write a log once more whose name is gone, and note that."""
        number = max(self._header.last_part - 1, *parts.numbers(self.path), 0) + 1
        copy = log.copied(parts.log(self.path, number))
        log.close()
        said = f"{log.path} vanished while it was written; its rows were written again"
        warnings.warn(said, stacklevel=5)
        problems = (*self._header.problems, said)
        self._header = replace(self._header, last_part=number, problems=problems)
        return copy

    def _rotate(self, log: Log) -> None:
        """Seal a log that is long; if the disk refuses, it stays what it is."""
        log.close()
        self._log = None
        try:
            seal_log(self.path, self._header.last_part)
        except (OSError, TrajlabError) as error:
            warnings.warn(f"{log.path} could not be sealed yet: {error}", stacklevel=4)

    def _merge(self, status: str) -> None:
        """Seal the run, unless another writer has come in, whose log must not be taken from it."""
        if self._log is not None:
            self._log.close()
            self._log = None
        snapshot = take(self.path, run_id=self._header.run_id)
        ours = self._header.sessions
        if any(s.header.sessions != ours[: len(s.header.sessions)] for s in snapshot.sources):
            problems: tuple[str, ...] = (
                f"another process records {self.path} too, so it was not sealed; end that, and "
                f"run trajlab merge",
            )
        else:
            problems = merge(self.path, status, snapshot)
        for problem in problems:
            warnings.warn(problem, stacklevel=3)

    def _leave(self) -> None:
        """Give the lock back; the parts folder goes unless something is in it."""
        parts.remove_folder(self.path)
        self._lock.release()

    def _prepare(self) -> Lock:
        """Make the folders and take the lock, so that what cannot be written is told at once."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = Lock(self.path)
            try:
                parts.folder(self.path).mkdir(exist_ok=True)
                parts.sync_folder(self.path.parent)
            except BaseException:
                lock.release()
                raise
        except OSError as error:
            raise TrajlabError(
                f"{self.path} cannot be written ({error.strerror}); give a folder that can"
            ) from error
        return lock

    def _resumed(self, header: Header, allow_changes: bool) -> Header:
        """Return the header with which this session goes on, and take over the tables."""
        numbers = parts.numbers(self.path)
        if not parts.exists(self.path):
            return header
        if len(numbers) >= MERGE_PARTS:
            merge(self.path, "recording")
        snapshot = take(self.path)
        for problem in snapshot.problems:
            warnings.warn(problem, stacklevel=4)
        header = resumed(self.path, snapshot, header, allow_changes)
        for name in snapshot.tables:
            self._buffers[name] = Buffer(view(snapshot, name).declared)
            self._buffers[name].changed = False
        self.shared = list(header.shared)
        return header

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
                warnings.warn(str(error), stacklevel=3)
                self._warned = True

    def _make_room(self) -> None:
        """Try the disk once more, if it is time to; raise if it still refuses."""
        if time.monotonic() >= self._due_time:
            self._flush_in_passing()
        if self._bytes >= LIMIT_BYTES:
            raise TrajlabError(
                f"{self.path} could not be written until {LIMIT_BYTES >> 20} MiB of rows waited in "
                "memory, which takes no more: make room or give permission"
            )
