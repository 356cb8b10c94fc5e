"""The log of one session: appended to while it records, and read back.

What a frame says and where its columns lie is in `frames` and `rows`.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store import frames, rows
from trajlab.store.files import sync_folder
from trajlab.store.header import Header, from_attributes
from trajlab.store.pool import File
from trajlab.store.rows import Extent, Stored
from trajlab.store.source import Source
from trajlab.store.table import Table

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has none
_SMALL = 4 * 2**20  # bytes of a body that are read at once


class Log:
    """Appends frames to a file that nobody else writes: it is made with its first frame.

    Parameters
    ----------
    path
        A name that no file has.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: Header | None = None
        self.size = 0
        self._turn = 0
        self._file: Any = None
        self._name = str(path)
        self._identity = (0, 0)
        self._refused = False  # whether the last frame was, in the middle perhaps

    def append(
        self,
        header: Header,
        tables: Iterable[Table],
        blocks: Iterable[tuple[Table, int, Mapping[str, bytes]]],
    ) -> None:
        """Put rows, and what is new of header and declarations, on disk.

        Parameters
        ----------
        header
            Of the run; written if it is another than before.
        tables
            Declarations that are new or changed.
        blocks
            Table, number of rows, and their bytes by column.

        Raises
        ------
        OSError
            If the disk refuses; what was there before is there still. `FileExistsError`: of the
            first frame, if there is a file of that name.
        """
        body: list[bytes] = []
        placed = []
        at = 0
        for table, length, columns in blocks:
            places = {}
            for name, content in columns.items():
                places[name] = (at, len(content), rows.crc32(content))
                body.append(content)
                at += len(content)
            placed.append((table.name, length, places))
        facts: dict[str, Any] = {"rows": placed}
        if described := rows.described(tables):
            facts["tables"] = described
        if self.differs(header):
            facts["header"] = header.attributes()
        self._write(frames.frame(facts, b"".join(body)))
        self.header = header

    def differs(self, header: Header) -> bool:
        """Tell whether a header is another than was written last."""
        return header is not self.header and header != self.header

    def present(self) -> bool:
        """Tell whether its name still stands for it."""
        if self._file is None:
            return True
        try:
            status = os.stat(self._name)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def copied(self, path: Path) -> "Log":
        """Write what was acknowledged once more, under a name that no file has.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        path.parent.mkdir(exist_ok=True)
        copy = Log(path)
        begin = frames.HEAD
        copy._write(os.pread(self._file.fileno(), self.size - begin, begin))
        copy.header = self.header
        return copy

    def close(self) -> None:
        """Append no more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        self.close()

    def _write(self, content: bytes) -> None:
        first = self.size == 0
        if self._file is None:
            self._file = open(self.path, "x+b", buffering=0)  # noqa: SIM115 - O_EXCL, O_CLOEXEC
            status = os.fstat(self._file.fileno())
            self._identity = status.st_dev, status.st_ino
        elif self._refused:
            self._file.truncate(self.size)  # what the disk took of it
        if first:
            content = frames.head(0) + content
        self._refused = True
        _put(self._file, self.size, content)
        _sync(self._file.fileno())
        if first:
            sync_folder(self.path.parent)
        size = self.size + len(content)
        # It need not be on disk: one that is older promises less.
        _put(self._file, frames.slot_offset(self._turn), frames.slot(size))
        self._refused = False
        self._turn += 1
        self.size = size


class LogReader:
    """What stands in a log, read on from where it was read before.

    Parameters
    ----------
    path
        The log.
    known
        Another file of its run, for what stands in its first frame if that is damaged.

    Raises
    ------
    TrajlabError
        If it is damaged where it begins.
    """

    def __init__(self, path: Path, known: Source | None = None) -> None:
        self._file = File(path, grows=True)
        self._header: Header | None = known.header if known else None
        self._tables: dict[str, Table] = dict(known.tables) if known else {}
        self._stored: dict[str, list[Stored]] = {}
        self._damaged: list[tuple[int, int]] = []
        self._searched = 0  # bytes read to find frames behind damage
        self._end = frames.HEAD
        self._seen: tuple[int, int] | None = None
        self._source: Source | None = None

    def unchanged(self) -> bool:
        """Tell whether its name still stands for the file that was read."""
        return self._file.unchanged()

    def source(self) -> Source | None:
        """Return what stands in it now; None if nothing was acknowledged.

        Raises
        ------
        TrajlabError
            If it is damaged where it begins.
        """
        size = self._file.grown()
        promised = self._promised(size)
        if self._seen != (size, promised):
            self._settle(promised)
            self._source = self._with_unpromised()
            self._seen = (size, promised)
        return self._source

    def _promised(self, size: int) -> int:
        content = self._file.read(0, min(frames.HEAD, size)).tobytes()
        if size < frames.HEAD and frames.MAGIC.startswith(content[: len(frames.MAGIC)]):
            return 0  # cut off before its first frame
        try:
            return frames.acknowledged(content)
        except TrajlabError as error:
            raise TrajlabError(
                f"{self._file.path} is damaged ({error}); restore it from a copy"
            ) from None

    def _settle(self, promised: int) -> None:
        """Read on up to what was acknowledged, over damage."""
        while self._end < promised:
            end = self._take(self._end, self._tables, self._stored)
            if end is None:
                end = min(self._behind(self._end) or promised, promised)
                first = self._end
                if self._damaged and self._damaged[-1][1] == first:
                    first, _ = self._damaged.pop()
                self._damaged.append((first, end))
            self._end = end

    def _behind(self, at: int) -> int | None:
        """Return where the next frame may begin behind what does not check; None if nowhere."""
        whole = frames.read_frame(self._file, at)
        if whole is not None:
            return whole.end
        # who wrote a log to be searched for ever is not
        left = 4 * self._file.size + frames.FACTS - self._searched
        start, read = frames.next_frame(self._file, at + 1, left)
        self._searched += read
        return start

    def _problems(self) -> tuple[str, ...]:
        return tuple(
            f"{self._file.path} is damaged: its bytes {first} to {end} do not match their "
            f"checksums; restore it from a copy"
            for first, end in self._damaged
        )

    def _with_unpromised(self) -> Source | None:
        """Return what was read, with the frames that are whole but were not acknowledged yet."""
        settled = self._header
        tables = dict(self._tables)
        stored = {name: list(found) for name, found in self._stored.items()}
        end: int | None = self._end
        while end is not None:
            end = self._take(end, tables, stored)
        header, self._header = self._header, settled
        if header is None:
            if self._damaged:
                raise TrajlabError(self._problems()[0])
            return None
        return Source(self._file, header, tables, stored, self._problems())

    def _take(
        self, at: int, tables: dict[str, Table], stored: dict[str, list[Stored]]
    ) -> int | None:
        """Take over the frame at `at`, and return where it ends; None if it does not check."""
        frame = frames.read_frame(self._file, at)
        if frame is None:
            return None
        try:
            header = self._header
            if "header" in frame.facts:
                header = from_attributes(frame.facts["header"].__getitem__, str(self._file.path))
            before = self._header or header
            if header is None or before is None or header.run_id != before.run_id:
                return None
            new = [rows.declared(one) for one in frame.facts.get("tables", ())]
            known = {**tables, **{table.name: table for table in new}} if new else tables
            for table in new:
                rows.require_few(len(known), table)
            blocks = [
                rows.located(one, known, frame.body, frame.end) for one in frame.facts["rows"]
            ]
            if not self._checks(frame, [e for b in blocks for e in b.extents.values()]):
                return None
        except (TrajlabError, TypeError, ValueError, KeyError, AttributeError, RecursionError):
            return None
        self._header = header
        tables.update({table.name: table for table in new})
        for block in blocks:
            stored.setdefault(block.table.name, []).append(block)
        return frame.end

    def _checks(self, frame: frames.Frame, extents: list[Extent]) -> bool:
        """Tell whether extents fill the body, one behind the other, and match their checksums."""
        at = frame.body
        for extent in extents:
            if extent.offset != at:
                return False
            at += extent.size
        if at != frame.end:
            return False
        if frame.end - frame.body <= _SMALL:
            body = self._file.read(frame.body, frame.end - frame.body).data
            return all(
                rows.crc32(body[e.offset - frame.body :][: e.size]) == e.crc for e in extents
            )
        return all(self._file.checksum(e.offset, e.size) == e.crc for e in extents)


def _put(file: Any, offset: int, content: bytes) -> None:
    file.seek(offset)
    done = file.write(content)
    while done < len(content):
        done += file.write(memoryview(content)[done:])
