"""A consistent view of the files of one run: the sealed one and the parts that came after it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store import parts
from trajlab.store.header import Header
from trajlab.store.legacy import read_legacy
from trajlab.store.log import LogReader
from trajlab.store.pool import File
from trajlab.store.seal import is_sealed, read_sealed
from trajlab.store.source import Source

_ATTEMPTS = 100


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
        A sentence for each gap, damage and part left out, now or when files were merged.
    unread
        The parts left out.
    readers
        What reads on in each log, by its file.
    """

    path: Path
    sources: tuple[Source, ...]
    problems: tuple[str, ...]
    unread: tuple[Path, ...]
    readers: Mapping[Path, LogReader] = field(default_factory=dict)

    @property
    def header(self) -> Header:
        """What the latest source says."""
        return self.sources[-1].header

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Names of all tables, in the order of their declaration."""
        return tuple(dict.fromkeys(name for source in self.sources for name in source.tables))

    def holds(self, table: str) -> bool:
        """Tell whether there is a table of that name."""
        return any(table in source.tables for source in self.sources)


def take(path: Path, before: Snapshot | None = None, run_id: str | None = None) -> Snapshot:
    """Read what is there of the run at `path`, while it may be recorded and merged.

    Parameters
    ----------
    path
        The run.
    before
        An earlier snapshot of it: only what came since is read.
    run_id
        Its identity, if it is known; else that of its first file.

    Raises
    ------
    TrajlabError
        If there is no such run, or nothing of it can be read.
    """
    for _ in range(_ATTEMPTS):
        try:
            snapshot = _Attempt(path, before, run_id).snapshot()
        except OSError as error:
            raise TrajlabError(f"{path} cannot be read: {error.strerror}") from error
        if snapshot is not None:
            return snapshot
    raise TrajlabError(f"{path} changes faster than it can be read; try again")


def read_file(path: Path) -> Source:
    """Read a sealed file of any version.

    Raises
    ------
    OSError
        If it cannot be opened.
    TrajlabError
        If it is none, or damaged.
    """
    file = File(path)
    return read_sealed(file) if is_sealed(file) else read_legacy(file)


class _Attempt:
    """One try to read all files of a run while a merge may replace them."""

    def __init__(self, path: Path, before: Snapshot | None, run_id: str | None) -> None:
        self.path = path
        self.run_id = run_id
        self.known = {source.path: source for source in before.sources} if before else {}
        self.before = before
        self.readers: dict[Path, LogReader] = {}
        self.sources: list[Source] = []
        self.problems: list[str] = []
        self.unread: list[Path] = []

    def snapshot(self) -> Snapshot | None:
        """Return what is there, or None if a merge came in between."""
        with suppress(FileNotFoundError):
            self.sources.append(self._sealed(self.path))
        sealed = self.sources[0] if self.sources else None
        last = 0 if sealed is None else sealed.header.last_part
        numbers = parts.numbers(self.path)
        if sealed is not None:
            for number in [number for number in numbers if number <= last]:
                self._merged(number, sealed.header.run_id)
        for number in [number for number in numbers if number > last]:
            if number > last + 1:
                gap = f"{self.path} lacks its parts {last + 1} to {number - 1}; the rest was read"
                self.problems.append(gap)
            last = number
            try:
                self._part(number)
            except FileNotFoundError:
                return None
        if self.path.exists() if sealed is None else not sealed.file.unchanged():
            return None
        if not self.sources:
            raise TrajlabError(self.problems[0] if self.problems else _nothing(self.path))
        said = dict.fromkeys([*self.sources[-1].header.problems, *self.problems])
        if sealed is not None:
            said = dict.fromkeys([*sealed.header.problems, *said])
        made = tuple(self.sources), tuple(said), tuple(self.unread)
        if self.before and made == (self.before.sources, self.before.problems, self.before.unread):
            return self.before
        return Snapshot(self.path, *made, self.readers)

    def _sealed(self, path: Path) -> Source:
        known = self.known.get(path)
        if known is not None and known.file.unchanged():
            return known
        return read_file(path)

    def _merged(self, number: int, run_id: str) -> None:
        """Look whether a part that should be merged already, left by a kill, is of this run."""
        file = parts.part(self.path, number)
        with suppress(FileNotFoundError):
            try:
                source = self._log(file) if file.suffix == ".log" else self._sealed(file)
            except TrajlabError as error:
                self._leave_out(file, str(error))
            else:
                if source is not None and source.header.run_id != run_id:
                    self._leave_out(file, f"{file} belongs to another run")

    def _leave_out(self, file: Path, reason: str) -> None:
        self.problems.append(f"{reason}; the rest was read")
        self.unread.append(file)

    def _part(self, number: int) -> None:
        file = parts.part(self.path, number)
        try:
            source = self._log(file) if file.suffix == ".log" else self._sealed(file)
            if source is None:
                return  # cut off before its first flush
            first = self.sources[0] if self.sources else source
            if source.header.run_id != (self.run_id or first.header.run_id):
                raise TrajlabError(f"{file} belongs to another run")
        except TrajlabError as error:
            self._leave_out(file, str(error))
        else:
            self.problems += [f"{problem}; the rest was read" for problem in source.problems]
            self.sources.append(source)

    def _log(self, file: Path) -> Source | None:
        reader = self.before.readers.get(file) if self.before else None
        if reader is None or not reader.unchanged():
            reader = LogReader(file)
        self.readers[file] = reader
        return reader.source()


def _nothing(path: Path) -> str:
    if parts.folder(path).is_dir():
        return f"{path} holds nothing yet; its recording has not reached a first flush"
    return f"{path} does not exist; give the path of a recorded run"
