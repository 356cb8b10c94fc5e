"""What can be saved of a damaged run."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.store import legacy, parts, rows, seal
from trajlab.store.log import LogReader
from trajlab.store.merge import write
from trajlab.store.pool import File
from trajlab.store.rows import Array, Block, Stored
from trajlab.store.snapshot import Snapshot
from trajlab.store.source import PORTION, Source
from trajlab.store.view import View, view


def repair(path: Path, out: Path) -> tuple[str, ...]:
    """Save what is valid of a damaged run into a new file.

    Parameters
    ----------
    path
        The run; it is left as it is.
    out
        The file to make, ending in ``.h5``.

    Returns
    -------
    tuple of str
        A sentence for each thing that was lost, or could not be verified.

    Raises
    ------
    TrajlabError
        If `out` exists, or nothing can be saved.
    """
    path, out = parts.located(path), parts.located(out)
    if parts.exists(out) or out.suffix != ".h5":
        raise TrajlabError(f"{out} exists or does not end in .h5; name a new file")
    saved = _Saved(path)
    files = [path, *(parts.part(path, number) for number in parts.numbers(path))]
    files = [file for file in [*files, *parts.set_aside(path)] if file.exists()]
    damaged = [file for file in files if not saved.add_intact(file)]
    for file in damaged:
        saved.add_damaged(file)
    if not saved.sources:
        lost = " ".join(saved.lost) or "it is not there"
        raise TrajlabError(f"{path}: nothing can be saved; {lost}")
    saved.add_gaps()
    # what a damaged file says of the run holds only where no other says it
    said = [
        source.header for source in saved.sources if source.path not in damaged or not saved.intact
    ]
    last = saved.sources[-1].header
    problems = tuple(dict.fromkeys([*said[-1].problems, *saved.lost]))
    header = replace(said[-1], status="recovered", sessions=last.sessions, problems=problems)
    snapshot = Snapshot(path, tuple(saved.sources), (), ())
    try:
        write(header, (_in_order(view(snapshot, name)) for name in snapshot.tables), out)
    except OSError as error:
        raise TrajlabError(f"{out} cannot be written ({error.strerror})") from error
    return tuple(saved.lost)


class _Saved:
    """What was saved so far, in the order of writing, and a sentence for each thing lost."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sources: list[Source] = []
        self.lost: list[str] = []
        self.intact = False

    def add_intact(self, file: Path) -> bool:
        """Add a file whose checksums all match; tell whether they do."""
        try:
            source = self._read(file)
            if source is None:
                return True  # a log without a frame: nothing was acknowledged
            if source.problems:
                return False
        except (TrajlabError, OSError):
            return False
        self.intact = self._add(source, file) or self.intact
        return True

    def add_damaged(self, file: Path) -> None:
        """Add what is valid in a damaged file."""
        try:
            source, lost = self._salvaged(file)
        except (TrajlabError, OSError) as error:
            self.lost.append(f"{file} is lost ({error})")
            return
        if self._add(source, file):
            self.lost += lost

    def add_gaps(self) -> None:
        """Say which parts are missing between those that were saved."""
        sealed = max((s.header.last_part for s in self.sources if s.path == self.path), default=0)
        numbers = sorted(n for n in (s.header.last_part for s in self.sources) if n > sealed)
        self.lost += [
            f"parts {before + 1} to {number - 1} of {self.path} are lost"
            for before, number in zip([sealed, *numbers], numbers, strict=False)
            if number > before + 1
        ]

    def _read(self, file: Path) -> Source | None:
        if ".log" in file.suffixes:
            return LogReader(file).source()
        content = File(file)
        if seal.is_sealed(content):
            source = seal.read_sealed(content)
            seal.verify(source)
            return source
        legacy.verify(content, whole=True)
        return legacy.placed(content, lenient=False)[0]

    def _salvaged(self, file: Path) -> tuple[Source, list[str]]:
        if ".log" in file.suffixes:
            number = int(file.name.partition(".")[0])
            made = LogReader(file, self.sources[-1] if self.sources else None).source()
            if made is None or not made.stored:
                raise TrajlabError("nothing in it matches its checksum")
            numbered = replace(made, header=replace(made.header, last_part=number))
            return numbered, list(made.problems)
        content = File(file)
        try:
            source = seal.read_index(content)
        except TrajlabError:
            source, lost = legacy.placed(content, lenient=True)
            told = [
                sentence if str(file) in sentence else f"{file}: {sentence}" for sentence in lost
            ]
            return source, [*told, _unverified(file)] if not _is_whole(content) else told
        return _valid(source)

    def _add(self, source: Source, file: Path) -> bool:
        """Put a file in its place; one that contradicts the others is lost."""
        others = self.sources
        # a part set aside comes before the file that lacks it
        joined = sorted(
            [*others, source], key=lambda s: (len(s.header.sessions), s.header.last_part)
        )
        try:
            if others and source.header.run_id != others[0].header.run_id:
                raise TrajlabError("it belongs to another run")
            for name in source.tables:
                view(Snapshot(self.path, tuple(joined), (), ()), name).declared  # noqa: B018
        except TrajlabError as error:
            self.lost.append(f"{file} is lost ({error})")
            return False
        self.sources = joined
        return True


def _is_whole(file: File) -> bool:
    """Tell whether all but the large columns of a file of version 1 matches its checksum."""
    try:
        legacy.verify(file, whole=False)
    except TrajlabError:
        return False
    return True


def _unverified(file: Path) -> str:
    return (
        f"{file} is damaged where its lists of tables, names, units and metadata may stand, which "
        f"have no checksum of their own; compare them with what you know"
    )


def _valid(source: Source) -> tuple[Source, list[str]]:
    """Leave out the columns of a sealed file whose checksums do not match."""
    lost = []
    tables, stored = {}, dict[str, list[Stored]]()
    for name, table in source.tables.items():
        kept = table
        blocks = list(source.stored[name])
        for column in ("step", *(column.name for column in table.columns)):
            if all(_matches(source, block, column) for block in blocks):
                continue
            lost.append(f"column {column} of table {name} in {source.path} is lost")
            if column in ("step", *table.key):
                lost[-1] = f"table {name} of {source.path} is lost: its column {column} is"
                break
            kept = kept.only(*(c.name for c in kept.columns if c.name != column))
            blocks = [
                Stored(kept, b.length, {k: e for k, e in b.extents.items() if k != column})
                for b in blocks
            ]
        else:
            tables[name], stored[name] = kept, blocks
    if not seal.rest_matches(source):
        lost.append(f"{source.path} is damaged where no column lies; that is made anew")
    return replace(source, tables=tables, stored=stored), lost


def _matches(source: Source, block: Stored, column: str) -> bool:
    extent = block.extents.get(column)
    return extent is None or source.file.checksum(extent.offset, extent.size) == extent.crc


def _in_order(table: View) -> Block:
    """Return all rows in the order of their steps."""
    steps = table["step"]
    if (np.diff(steps) >= 0).all():
        return table.block()
    order = np.argsort(steps, kind="stable")
    stored = ["step", *(column.name for column in table.declared.columns)]
    pieces = {name: _ordered(table, name, order) for name in stored}
    return Block(table.declared, table.length, pieces)


def _ordered(table: View, name: str, order: Array) -> Iterator[Array]:
    """Yield a column in an order, portion by portion: its checksums were compared before."""
    if rows.column(table.declared, name).dtype == "str":  # texts lie in no places of their own
        yield table[name][order]
        return
    count = rows.count(table.declared, name, PORTION)
    for first in range(0, len(order), count):
        yield table.at(name, order[first : first + count])
