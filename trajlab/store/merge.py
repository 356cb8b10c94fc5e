"""Merging: the sealed file and the parts after it become one new sealed file."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py

from trajlab.errors import TrajlabError
from trajlab.store import parts
from trajlab.store.image import LIBVER, build, fill, large_columns
from trajlab.store.lock import Lock
from trajlab.store.seal import tail
from trajlab.store.snapshot import Snapshot, take
from trajlab.store.view import view

IN_PROCESS = 512 * 2**20  # bytes; a larger run is merged by a process of its own


def merge(path: Path, status: str) -> None:
    """Seal the run at `path` under `status`; the caller holds its lock.

    A kill at any instruction leaves the run readable: the new file replaces the old one whole,
    and parts that it contains are ignored by readers until they are gone. A part that cannot be
    read is set aside as ``….h5.unread``.

    Raises
    ------
    OSError
        If the disk refuses; nothing is lost then.
    """
    last_part = max(parts.numbers(path), default=0)
    snapshot = take(path)
    for unread in snapshot.unread:
        os.replace(unread, unread.with_name(unread.name + ".unread"))
    last_part = max(last_part, snapshot.header.last_part)
    if sum(os.stat(source.path).st_size for source in snapshot.sources) <= IN_PROCESS:
        header = replace(snapshot.header, status=status, last_part=last_part)
        blocks = (view(snapshot, name).block() for name in snapshot.tables)
        parts.publish(build(header, blocks), path)
    else:
        _merge_elsewhere(path, status, last_part)
    for number in parts.numbers(path):
        if number <= last_part:
            parts.part(path, number).unlink()


def recover(path: Path) -> None:
    """Seal a run whose recording was cut off, as ``recovered``.

    Raises
    ------
    TrajlabError
        If there is nothing to merge, the run is still being recorded, or the disk refuses.
    """
    if not parts.numbers(path):
        raise TrajlabError(f"{path} has no parts to merge; a sealed run needs nothing")
    lock = Lock(path)
    try:
        merge(path, "recovered")
        parts.remove_folder(path)
    except OSError as error:
        raise TrajlabError(f"{path} cannot be merged ({error.strerror}); make room") from error
    finally:
        lock.release()


def stream(snapshot: Snapshot, status: str, last_part: int, descriptor: int) -> None:
    """Write the merged file, column by column, to an open descriptor."""
    header = replace(snapshot.header, status=status, last_part=last_part)
    blocks = (view(snapshot, name).stream() for name in snapshot.tables)
    with open(descriptor, "r+b") as target:
        with h5py.File(target, "w", libver=LIBVER, track_order=True) as file:
            fill(file, header, blocks)
            extents = large_columns(file)
        seal = tail(target, extents)
        target.seek(0, os.SEEK_END)
        target.write(seal)


def _merge_elsewhere(path: Path, status: str, last_part: int) -> None:
    """Merge in a process that holds nothing but a descriptor of the unfinished file.

    So no HDF5 file is open for writing here, and a process that outlives this one writes to a
    file without a name.
    """
    with parts.publishing(path) as file:
        descriptor = str(file.fileno())
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(path), status, str(last_part), descriptor],
            pass_fds=[file.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2] or f"exit {done.returncode}"
            raise OSError(errno.EIO, f"merging failed: {reason}")


if __name__ == "__main__":
    run, status, last_part, descriptor = sys.argv[1:]
    stream(take(Path(run)), status, int(last_part), int(descriptor))
