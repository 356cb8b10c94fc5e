"""Files that are there whole or not at all."""

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trajlab.errors import warn

_HOST = re.sub(r"[^\w-]", "_", socket.gethostname())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of an unfinished file or folder, which takes the place of `path` at the end.

    Whatever is raised meanwhile leaves `path` as it was, and nothing beside it. What a process that
    was killed has left is removed here by the next one; a warning tells of what another machine
    has left, which may be at it still. What a link points to is replaced, not the link; a device or
    a pipe, such as ``/dev/stdout``, is written to as it is.

    Parameters
    ----------
    path
        The file or folder to make or replace.
    """
    if is_stream(path):
        yield path
        return
    if path.is_symlink():
        path = path.resolve()
    _remove_left(path)
    unfinished = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}")
    try:
        yield unfinished
        if unfinished.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(unfinished, path)
    finally:
        _remove(unfinished)


def is_stream(path: Path) -> bool:
    """Tell whether a path is neither file nor folder, but a device, a pipe or a socket."""
    return path.exists() and not path.is_file() and not path.is_dir()


def name_of(path: Path) -> str:
    """Return what a file or folder is called, also where ``.`` or ``..`` is written for it."""
    return os.path.basename(os.path.abspath(path))


def _remove_left(path: Path) -> None:
    """Remove the unfinished files of `path` whose process has ended."""
    name = re.compile(re.escape(f".{path.name}.") + r"([\w-]+)\.(\d+)")
    for match in filter(None, map(name.fullmatch, os.listdir(path.parent))):
        file, (host, pid) = path.with_name(match[0]), match.groups()
        if host == _HOST and not _runs(int(pid)):
            _remove(file)
        elif (host, pid) != (_HOST, str(os.getpid())):
            warn(
                f"{file} is unfinished: process {pid} on {host} writes it, or was killed; remove "
                f"it if there is no such process"
            )


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _remove(unfinished: Path) -> None:
    if unfinished.is_dir() and not unfinished.is_symlink():
        shutil.rmtree(unfinished, ignore_errors=True)
    else:
        unfinished.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
