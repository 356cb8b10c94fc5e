"""A consistent view of the files of one run: the sealed one and the parts that came after it."""

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Self

import h5py

from trajlab.errors import TrajlabError
from trajlab.store import parts
from trajlab.store.header import Header
from trajlab.store.image import read_header, table_names
from trajlab.store.seal import verify

# Up to this size the whole sealed file is verified before HDF5 opens it (0.2 ms a megabyte);
# beyond, all but its large columns is then, and each of those when it is read.
WHOLE = 64 * 2**20
_SMALL = 2**20  # bytes up to which a file is read whole to be opened
_ATTEMPTS = 100


class Source:
    """One readable file of a run: a part held in memory, or the sealed file on disk.

    Parameters
    ----------
    path
        The file.
    content
        Its verified bytes, if they are held in memory.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        self.path = path
        self._content = content
        self._identity = _identity(os.stat(path))
        self._held: BinaryIO | None = None
        with self.open() as file:
            self.header: Header = read_header(file, str(path))
            self.tables: tuple[str, ...] = tuple(table_names(file))

    @classmethod
    def part(cls, path: Path) -> Self:
        """Read and verify one part."""
        content = path.read_bytes()
        verify(BytesIO(content), str(path))
        return cls(path, content)

    @classmethod
    def sealed(cls, path: Path) -> Self:
        """Verify the sealed file; its columns stay on disk."""
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            verify(file, str(path), whole=size <= WHOLE)
        return cls(path)

    @contextmanager
    def open(self) -> Iterator[h5py.File]:
        """Open for reading, without a file lock; never for writing.

        Raises
        ------
        TrajlabError
            If HDF5 finds the file damaged, or it was replaced meanwhile.
        """
        content = self._held or self._open()
        try:
            with self.opened(content, str(self.path)) as file:
                yield file
        finally:
            if content is not self._held:
                content.close()

    @staticmethod
    @contextmanager
    def opened(content: BinaryIO, source: str) -> Iterator[h5py.File]:
        """Open content for reading, whatever its checksums say.

        Raises
        ------
        TrajlabError
            If HDF5 finds it damaged.
        """
        try:
            # Not by name: HDF5 refuses a file that the user's own xarray or h5py has open with
            # other locking flags in this process. An image opens in half the time.
            small = content.seek(0, os.SEEK_END) <= _SMALL
            content.seek(0)
            target = h5py.h5f.open_file_image(content.read()) if small else content
            with h5py.File(target, "r") as file:
                yield file
        except TrajlabError:
            raise
        except (OSError, KeyError, RuntimeError, TypeError) as error:
            raise TrajlabError(f"{source} is damaged ({error}); restore it from a copy") from error

    @property
    def on_disk(self) -> bool:
        """Whether its columns are read from disk, not from memory."""
        return self._content is None

    def hold(self) -> None:
        """Keep the file open as long as this object lives, whatever a merge puts in its place."""
        self._held = self._open()
        weakref.finalize(self, self._held.close)

    def unchanged(self) -> bool:
        """Tell whether the file is still the one that was read."""
        try:
            return _identity(os.stat(self.path)) == self._identity
        except FileNotFoundError:
            return False

    def _open(self) -> BinaryIO:
        if self._content is not None:
            return BytesIO(self._content)
        content = open(self.path, "rb")  # noqa: SIM115 - the caller closes it
        if _identity(os.fstat(content.fileno())) != self._identity:
            content.close()
            raise TrajlabError(f"{self.path} was rewritten since it was opened; load it again")
        return content


@dataclass(frozen=True)
class Snapshot:
    """The readable sources of a run in the order of writing, and what could not be read.

    Parameters
    ----------
    path
        The sealed file, there or not yet.
    sources
        At least one.
    problems
        A sentence for each gap and each part left out.
    unread
        The parts left out.
    """

    path: Path
    sources: tuple[Source, ...]
    problems: tuple[str, ...]
    unread: tuple[Path, ...]

    @property
    def header(self) -> Header:
        """What the latest source says."""
        return self.sources[-1].header

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Names of all tables, in the order of their declaration."""
        return tuple(dict.fromkeys(name for source in self.sources for name in source.tables))


def take(path: Path) -> Snapshot:
    """Read what is there of the run at `path`, while it may be recorded and merged.

    Raises
    ------
    TrajlabError
        If there is no such run, or nothing of it can be read.
    """
    for _ in range(_ATTEMPTS):
        try:
            snapshot = _attempt(path)
        except OSError as error:
            raise TrajlabError(f"{path} cannot be read: {error.strerror}") from error
        if snapshot is not None:
            return snapshot
    raise TrajlabError(f"{path} changes faster than it can be read; try again")


def _attempt(path: Path) -> Snapshot | None:
    """Take a snapshot, or return None if a merge came in between."""
    try:
        sealed = Source.sealed(path)
    except FileNotFoundError:
        sealed = None
    sources = [] if sealed is None else [sealed]
    last = 0 if sealed is None else sealed.header.last_part
    problems = []
    unread = []
    numbers = [number for number in parts.numbers(path) if number > last]
    for number in numbers:
        if number > last + 1:
            problems.append(f"{path} lacks its parts {last + 1} to {number - 1}; the rest was read")
        last = number
        file = parts.part(path, number)
        try:
            source = Source.part(file)
            if sources and source.header.run_id != sources[0].header.run_id:
                raise TrajlabError(f"{file} belongs to another run")
        except FileNotFoundError:
            return None
        except TrajlabError as error:
            problems.append(f"{error}; the rest was read")
            unread.append(file)
        else:
            sources.append(source)
    if path.exists() if sealed is None else not sealed.unchanged():
        return None
    if not sources:
        raise TrajlabError(problems[0] if problems else _nothing(path))
    if sealed is not None and numbers:
        sealed.hold()
        if not sealed.unchanged():
            return None
    return Snapshot(path, tuple(sources), tuple(problems), tuple(unread))


def _nothing(path: Path) -> str:
    if parts.folder(path).is_dir():
        return f"{path} holds nothing yet; its recording has not reached a first flush"
    return f"{path} does not exist; give the path of a recorded run"


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
