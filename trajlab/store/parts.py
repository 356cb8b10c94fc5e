"""The files of a run on disk: where they lie, how they are numbered, how one is published.

::

    run.h5                   sealed: complete, immutable, only ever replaced whole
    run.h5.parts/000001.log  a session's log, while it records (or after a kill)
    run.h5.parts/000002.h5   a part sealed when its log was long, or one of format version 1
    run.h5.lock              who records; goes with its writer
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.files import sync_folder as sync_folder
from trajlab.store.log import LogReader

SUFFIX = ".parts"
_PART = re.compile(r"(\d{6,})\.(?:h5|log)")


def located(path: str | os.PathLike[str]) -> Path:
    """Return where a run lies, whatever becomes of the working folder; a link is followed.

    ``~`` is the home folder.
    """
    absolute = expanded(path).absolute()
    try:
        # a loop of links is told where the file is opened
        return Path(os.path.realpath(absolute)) if absolute.is_symlink() else absolute
    except OSError as error:
        raise TrajlabError(f"{path} cannot be a file's name ({error.strerror})") from None


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path, with the home folder for ``~``.

    Raises
    ------
    TrajlabError
        If it is no path, or there is no such home folder.
    """
    if not isinstance(path, str | os.PathLike) or "\0" in os.fspath(path):
        raise TrajlabError(f"{path!r} is no path; give a text or a pathlib.Path")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise TrajlabError(f"{path} leads to no home folder: {error}; give another path") from None


def folder(path: Path) -> Path:
    """Return the folder that holds the parts of the run at `path`."""
    return path.with_name(path.name + SUFFIX)


def log(path: Path, number: int) -> Path:
    """Return the log of one number."""
    return folder(path) / f"{number:06}.log"


def sealed(path: Path, number: int) -> Path:
    """Return the sealed part of one number."""
    return folder(path) / f"{number:06}.h5"


def part(path: Path, number: int) -> Path:
    """Return the part of one number: sealed if it is, else the log."""
    file = sealed(path, number)
    return file if file.exists() else log(path, number)


def numbers(path: Path) -> list[int]:
    """Return the numbers of the parts that exist, ascending."""
    try:
        names = os.listdir(folder(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted({int(match[1]) for match in map(_PART.fullmatch, names) if match})


def make_folder(path: Path) -> None:
    """Make the folder of the parts of the run at `path`, unless it is there.

    Raises
    ------
    OSError
        If it cannot be made.
    TrajlabError
        If a link is in its place: parts are made and removed in it.
    """
    made = folder(path)
    if made.is_symlink():
        raise TrajlabError(
            f"{made} is a link; a run's parts lie beside it: remove the link, and look whether "
            f"what it leads to belongs to another run"
        )
    made.mkdir(exist_ok=True)
    sync_folder(path.parent)


def remove(path: Path, last: int) -> None:
    """Remove the parts up to the one of number `last`.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    for number in numbers(path):
        if number <= last:
            # the log first: it is what its sealed form was made of
            for file in (log(path, number), sealed(path, number)):
                file.unlink(missing_ok=True)


def set_aside(path: Path) -> list[Path]:
    """Return the parts that a merge could not read."""
    return sorted(folder(path).glob("*.unread"))


def exists(path: Path) -> bool:
    """Tell whether anything was published for the run at `path`."""
    return path.exists() or any(_begun(part(path, number)) for number in numbers(path))


def _begun(file: Path) -> bool:
    """Tell whether there is more in a part than a first flush that was cut off."""
    try:
        return file.suffix == ".h5" or LogReader(file).source() is not None
    except TrajlabError:
        return True  # damaged


@contextmanager
def publishing(target: Path) -> Iterator[Any]:
    """Give an unbuffered file to write; what is in it then is put at `target` whole, or not at all.

    The caller holds the run's lock, so a leftover of the same name is its own.

    Raises
    ------
    OSError
        If the disk is full, read-only, …; `target` is then as it was, or already the new file.
    """
    temporary = target.with_name(target.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        with open(temporary, "x+b", buffering=0) as file:  # O_CREAT | O_EXCL | O_CLOEXEC
            yield file
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def remove_folder(path: Path) -> None:
    """Remove the parts folder unless something is in it; the caller holds the run's lock."""
    with suppress(OSError):
        for unfinished in folder(path).glob("*.tmp"):
            unfinished.unlink()
        folder(path).rmdir()
        sync_folder(path.parent)
