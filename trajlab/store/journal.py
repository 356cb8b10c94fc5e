"""What a session puts on disk: its log, sealed parts of one that is long, the run at its end."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from trajlab.errors import TrajlabError, warn
from trajlab.store import parts
from trajlab.store.buffer import Buffer
from trajlab.store.header import Header
from trajlab.store.log import Log
from trajlab.store.merge import merge, seal_log
from trajlab.store.snapshot import take

ROTATE_BYTES = 64 * 2**20  # begin another log when one is so long: a log is read whole


class Journal:
    """The files of one session; its writer holds the lock of the run.

    Parameters
    ----------
    path
        The run.
    header
        What the session says of itself.

    Attributes
    ----------
    header : Header
        As it was written last; `replace` it to say something else from the next flush on.
    begun : bool
        Whether anything was written.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.header = header
        self.begun = False
        self._log: Log | None = None

    def append(self, buffers: Collection[Buffer], shared: Sequence[str]) -> None:
        """Put on disk what is buffered, and take it out of the buffers.

        Raises
        ------
        OSError
            If the disk refuses; all stays buffered.
        """
        if list(self.header.shared) != list(shared):
            self.header = replace(self.header, shared=tuple(shared))
        filled = [(buffer, len(buffer.rows)) for buffer in buffers if buffer.rows]
        new = [buffer for buffer in buffers if buffer.changed]
        if self._log is not None and not self._log.present():
            self._log = self._restored(self._log)
        log = self._log
        if self.begun and not filled and not new and (log is None or not log.differs(self.header)):
            return
        if log is None:
            number = max(self.header.last_part, *parts.numbers(self.path), 0) + 1
            self.header = replace(self.header, last_part=number)
            log = self._log = Log(parts.log(self.path, number))
        if not log.size:
            new = list(buffers)
        try:
            log.append(
                self.header,
                [buffer.table for buffer in new],
                [(buffer.table, count, buffer.columns(count)) for buffer, count in filled],
            )
        except FileExistsError:
            self._log = None  # somebody else's; the next flush takes another name
            raise
        self.begun = True
        for buffer in new:
            buffer.changed = False
        for buffer, count in filled:
            del buffer.rows[:count]

    def rotate(self) -> None:
        """Seal the log if it is long; if the disk refuses, it stays what it is."""
        log = self._log
        if log is None or log.size < ROTATE_BYTES:
            return
        log.close()
        self._log = None
        try:
            seal_log(self.path, self.header.last_part)
        except (OSError, TrajlabError) as error:
            warn(f"{log.path} could not be sealed yet: {error}")

    def seal(self, status: str) -> None:
        """Seal the run, unless another writer has come in, whose log must not be taken from it.

        Raises
        ------
        OSError
            If the disk refuses; nothing is lost then.
        """
        if self._log is not None:
            self._log.close()
            self._log = None
        snapshot = take(self.path, run_id=self.header.run_id)
        ours = self.header.sessions
        if any(s.header.sessions != ours[: len(s.header.sessions)] for s in snapshot.sources):
            problems: tuple[str, ...] = (
                f"another process records {self.path} too, so it was not sealed; end that, and "
                f"run trajlab merge",
            )
        else:
            problems = merge(self.path, status, snapshot)
        for problem in problems:
            warn(problem)

    def _restored(self, log: Log) -> Log:
        """Write a log once more whose name is gone, and note that."""
        number = max(self.header.last_part - 1, *parts.numbers(self.path), 0) + 1
        copy = log.copied(parts.log(self.path, number))
        log.close()
        said = f"{log.path} vanished while it was written; its rows were written again"
        warn(said)
        problems = (*self.header.problems, said)
        self.header = replace(self.header, last_part=number, problems=problems)
        return copy
