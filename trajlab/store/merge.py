"""Merging: the sealed file and the parts after it become one new sealed file, in portions."""

import errno
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store import parts, seal
from trajlab.store.header import Header
from trajlab.store.lock import Lock
from trajlab.store.log import LogReader
from trajlab.store.pool import File
from trajlab.store.rows import Block
from trajlab.store.snapshot import Snapshot, read_file, take
from trajlab.store.source import Source
from trajlab.store.view import view


def merge(path: Path, status: str, snapshot: Snapshot | None = None) -> tuple[str, ...]:
    """Seal the run at `path` under `status`; the caller holds its lock.

    A kill at any instruction leaves the run readable: the new file replaces the old one whole,
    and parts that it contains are ignored by readers until they are gone. A part that cannot be
    read is set aside as ``….unread``, and told in the header for ever.

    Parameters
    ----------
    path
        The run.
    status
        That of the sealed file.
    snapshot
        What is there of it, if the caller has looked.

    Returns
    -------
    tuple of str
        A sentence for each record that is missing, damaged or foreign, now or earlier.

    Raises
    ------
    OSError
        If the disk refuses; nothing is lost then.
    """
    last = max(parts.numbers(path), default=0)
    snapshot = snapshot or take(path)
    for unread in snapshot.unread:
        _set_aside(unread)
    header = replace(
        snapshot.header,
        status=status,
        last_part=max(last, snapshot.header.last_part),
        problems=snapshot.problems,
    )
    write(header, (view(snapshot, name).block() for name in snapshot.tables), path)
    for source in snapshot.sources:
        if source.problems:
            _set_aside(source.path)  # merged as far as it can be read
    parts.remove(path, header.last_part)
    return snapshot.problems


def write(header: Header, blocks: Iterable[Block], target: Path) -> None:
    """Write a sealed file.

    Parameters
    ----------
    header
        What it says of its run.
    blocks
        All rows of each table, asked for one after the other.
    target
        The file to make or replace.

    Raises
    ------
    OSError
        If the disk refuses; `target` is then as it was.
    """
    from trajlab.store.hdf5 import image  # the library takes long to import

    with parts.publishing(target) as file:
        stored, texts = image.write(file, header, blocks)
        written = File(Path(file.name))
        made = Source(written, header, {}, {b.table.name: [b] for b in stored})
        rest = seal.rest(written, seal.gaps(made, written.size))
        file.seek(0, os.SEEK_END)
        for content in seal.behind(header, written.size, rest, stored, texts):
            _write_whole(file, content)
        try:
            seal.verify(seal.read_index(File(Path(file.name))))
        except TrajlabError as error:
            raise OSError(errno.EIO, f"what was written reads back differently: {error}") from error


def seal_log(path: Path, number: int) -> None:
    """Turn one log of a run that goes on into a sealed part; the caller holds the lock.

    Raises
    ------
    OSError
        If the disk refuses; the log then stays what it is.
    """
    log = parts.log(path, number)
    source = LogReader(log).source()
    if source is None or source.problems:
        return  # it is told, and kept, when all is merged
    header = replace(source.header, last_part=number)
    snapshot = Snapshot(path, (source,), (), ())
    blocks = (view(snapshot, name).block() for name in snapshot.tables)
    write(header, blocks, parts.sealed(path, number))
    log.unlink()


def recover(path: Path) -> tuple[str, ...]:
    """Seal a run whose recording was cut off, as ``recovered``.

    Returns
    -------
    tuple of str
        As `merge`.

    Raises
    ------
    TrajlabError
        If there is nothing to merge, the run is still being recorded, or the disk refuses.
    """
    path = parts.located(path)
    if not parts.numbers(path):
        raise TrajlabError(f"{path} has no parts to merge; a sealed run needs nothing")
    try:
        lock = Lock(path)
        try:
            parts.make_folder(path)
            problems = _recovered(path)
            parts.remove_folder(path)
        finally:
            lock.release()
    except OSError as error:
        raise TrajlabError(f"{path} cannot be merged ({error.strerror}); make room") from error
    return problems


def _recovered(path: Path) -> tuple[str, ...]:
    """Merge, unless a kill left nothing but parts that are merged already."""
    if path.exists():
        header = read_file(path).header
        if max(parts.numbers(path)) <= header.last_part and not take(path).unread:
            parts.remove(path, header.last_part)
            return header.problems
    return merge(path, "recovered")


def _set_aside(file: Path) -> None:
    """Give a damaged part a name under which it is kept for a repair."""
    os.replace(file, file.with_name(file.name + ".unread"))


def _write_whole(file: object, content: bytes) -> None:
    done = 0
    while done < len(content):
        done += file.write(memoryview(content)[done:])  # type: ignore[attr-defined]
