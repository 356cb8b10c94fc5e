"""Recording one run: buffer, flush, close."""

import os
import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store import parts
from trajlab.store.buffer import Buffer
from trajlab.store.header import STATUSES, Header, Session, plain
from trajlab.store.image import build
from trajlab.store.lock import Lock
from trajlab.store.merge import merge
from trajlab.store.snapshot import take
from trajlab.store.table import Table, text
from trajlab.store.view import view

INTERVAL = 10.0  # seconds between flushes
FLUSH_BYTES = 16 * 2**20  # flush earlier when so much is buffered
LIMIT_BYTES = 256 * 2**20  # while the disk refuses, give up when so much is buffered
MERGE_PARTS = 1000  # merge while recording when there are so many


class Writer:
    """Writes the trajectory of one run so that a kill at any instruction loses only the buffer.

    Rows are buffered in memory; a flush publishes them as one sealed part, `close` merges the
    parts into the file. No HDF5 file on disk is ever open for writing.

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
        self.path = Path(path)
        self.shared = list(shared)
        self._pid = os.getpid()
        self._buffers: dict[str, Buffer] = {}
        self._closed = False
        if self.path.suffix != ".h5":
            raise TrajlabError(f"{path} does not end in .h5; give a name that does")
        if from_step is not None and not resume:
            raise TrajlabError(f"from_step is given for {path} without resume; set resume=True")
        self._lock = self._prepare()
        try:
            if not resume and parts.exists(self.path):
                raise TrajlabError(
                    f"{path} exists; give another name, or resume=True to go on with it"
                )
            now = datetime.now(UTC).isoformat(timespec="seconds")
            session = Session(now, from_step, provenance or {})
            header = Header(
                run_id=uuid.uuid4().hex,
                created=now,
                status="recording",
                tasks=tuple(map(text, tasks)),
                shared=tuple(map(text, shared)),
                metadata=metadata or {},
                sessions=(session,),
                trajlab_version=version("trajlab"),
            )
            resumes = parts.exists(self.path)
            self._header = self._resumed(header, allow_changes) if resumes else header
        except BaseException:
            self._leave()
            raise
        self._published = False
        self._warned = False
        self._bytes = 0
        self._merge_at = MERGE_PARTS
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
        for name in self._buffers:
            if name.startswith(table.name + "/") or table.name.startswith(name + "/"):
                raise TrajlabError(
                    f"table {table.name} would lie inside a table or hold one ({name}); rename it"
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
            `LIMIT_BYTES` are buffered.
        """
        self._check_process()
        buffer = self._buffer(table)
        buffer.append(row)
        self._bytes += buffer.row_bytes
        if self._bytes >= self._due_bytes or time.monotonic() >= self._due_time:
            self._flush_in_passing()

    def set_attributes(self, table: str, attributes: Mapping[str, Any]) -> None:
        """Add or renew facts about all rows of a table: text, numbers, flags or flat lists."""
        buffer = self._buffer(table)
        self.declare(replace(buffer.table, attributes=attributes))

    def flush(self) -> None:
        """Publish the buffered rows: when this returns they survive a power loss.

        Raises
        ------
        TrajlabError
            If the disk refuses; the rows stay buffered and the next flush tries again.
        """
        self._check_process()
        counts = {name: len(buffer.rows) for name, buffer in self._buffers.items()}
        changed = [n for n, buffer in self._buffers.items() if counts[n] or buffer.changed]
        header = replace(
            self._header, shared=tuple(self.shared), last_part=self._header.last_part + 1
        )
        if not changed and self._published and header.shared == self._header.shared:
            return
        image = build(header, [self._buffers[name].block(counts[name]) for name in changed])
        try:
            parts.publish(image, parts.part(self.path, header.last_part))
        except OSError as error:
            raise TrajlabError(
                f"{self.path} cannot be written ({error.strerror}); its rows are kept in memory: "
                f"make room or give permission, and flush again"
            ) from error
        self._header = header
        for name in changed:
            del self._buffers[name].rows[: counts[name]]
            self._buffers[name].changed = False
        self._published = True
        self._bytes = sum(len(b.rows) * b.row_bytes for b in self._buffers.values())
        self._schedule()
        if len(parts.numbers(self.path)) >= self._merge_at:
            self._merge_in_passing()

    def close(self, status: str = "complete") -> None:
        """Flush, merge all parts into the file, and give the lock back.

        In a forked process, and a second time, this does nothing.

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
        if self._closed or os.getpid() != self._pid:
            return
        self.flush()
        try:
            merge(self.path, status)
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
        snapshot = take(self.path)
        for problem in snapshot.problems:
            warnings.warn(problem, stacklevel=4)
        before = snapshot.header
        metadata = plain(header.metadata) or before.metadata
        if before.tasks != header.tasks:
            raise TrajlabError(
                f"{self.path} was recorded with tasks {before.tasks}, not {header.tasks}; resume "
                f"with the same, or give another name"
            )
        changed = _differences(before.metadata, metadata)
        if header.shared and before.shared and before.shared != header.shared:
            changed += _differences(
                {"shared parameters": before.shared}, {"shared parameters": header.shared}
            )
        if changed and not allow_changes:
            raise TrajlabError(
                f"{self.path} was recorded with {', '.join(changed)}; resume with the same, give "
                f"another name, or set allow_changes=True"
            )
        for name in snapshot.tables:
            self._buffers[name] = Buffer(view(snapshot, name).declared)
            self._buffers[name].changed = False
        self.shared = self.shared or list(before.shared)
        return replace(
            header,
            run_id=before.run_id,
            created=before.created,
            metadata=metadata,
            sessions=before.sessions + header.sessions,
            last_part=max(before.last_part, *parts.numbers(self.path), 0),
        )

    def _buffer(self, table: str) -> Buffer:
        try:
            return self._buffers[table]
        except KeyError:
            raise TrajlabError(f"table {table!r} is not declared in {self.path}") from None

    def _check_process(self) -> None:
        if self._closed:
            raise TrajlabError(f"{self.path} is closed; resume it to record more")
        if os.getpid() != self._pid:
            raise TrajlabError(
                f"{self.path} is recorded by process {self._pid}; a forked process cannot write it"
            )

    def _schedule(self) -> None:
        """Set when the next flush in passing is due."""
        self._due_time = time.monotonic() + INTERVAL
        self._due_bytes = self._bytes + FLUSH_BYTES

    def _merge_in_passing(self) -> None:
        """Merge while training goes on: if the disk refuses, the parts just stay longer."""
        try:
            merge(self.path, "recording")
            self._merge_at = MERGE_PARTS
        except (OSError, TrajlabError) as error:
            self._merge_at *= 2
            warnings.warn(f"the parts of {self.path} could not be merged: {error}", stacklevel=4)

    def _flush_in_passing(self) -> None:
        """Flush while training goes on: a refusing disk is warned of once and tried again."""
        try:
            self.flush()
            self._warned = False
        except TrajlabError as error:
            if self._bytes >= LIMIT_BYTES:
                raise
            self._schedule()
            if not self._warned:
                warnings.warn(str(error), stacklevel=3)
                self._warned = True


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in what two configurations differ."""
    return [
        f"{key}={before.get(key)!r}, not {now.get(key)!r}"
        for key in dict.fromkeys([*before, *now])
        if key not in before or key not in now or before[key] != now[key]
    ]
