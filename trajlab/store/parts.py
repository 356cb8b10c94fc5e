"""The files of a run on disk: where they lie, how they are numbered, how one is published.

::

    run.h5                  sealed: complete, immutable, only ever replaced whole
    run.h5.parts/000001.h5  small sealed parts, while recording (or after a kill)
    run.h5.lock             who records; never deleted
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from trajlab.store.seal import verify

_PART = re.compile(r"(\d{6,})\.h5")


def folder(path: Path) -> Path:
    """Return the folder that holds the parts of the run at `path`."""
    return path.with_name(path.name + ".parts")


def part(path: Path, number: int) -> Path:
    """Return the file of one part."""
    return folder(path) / f"{number:06}.h5"


def numbers(path: Path) -> list[int]:
    """Return the numbers of the parts that exist, ascending."""
    try:
        names = os.listdir(folder(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(match[1]) for match in map(_PART.fullmatch, names) if match)


def set_aside(path: Path) -> list[Path]:
    """Return the parts that a merge could not read."""
    return sorted(folder(path).glob("*.h5.unread"))


def exists(path: Path) -> bool:
    """Tell whether anything was published for the run at `path`."""
    return path.exists() or bool(numbers(path))


def publish(content: bytes, target: Path) -> None:
    """Put a sealed file at `target`: whole or not at all, and on disk when this returns.

    Raises
    ------
    OSError
        As `publishing`.
    """
    with publishing(target) as file:
        file.write(content)


@contextmanager
def publishing(target: Path) -> Iterator[BinaryIO]:
    """Give a file to write; what is in it after that is put at `target` whole, or not at all.

    The caller holds the run's lock, so a leftover of the same name is its own.

    Raises
    ------
    OSError
        If the disk is full, read-only, …; `target` is then as it was, or already the new file.
    """
    temporary = target.with_name(target.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        with open(temporary, "x+b") as file:  # O_CREAT | O_EXCL | O_CLOEXEC
            yield file
            file.flush()
            os.fsync(file.fileno())
            verify(file, str(temporary))
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def remove_folder(path: Path) -> None:
    """Remove the parts folder unless something is in it."""
    with suppress(OSError):
        folder(path).rmdir()
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
