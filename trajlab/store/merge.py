"""Merging: the sealed file and the parts after it become one new sealed file."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from trajlab.store import parts
from trajlab.store.image import build
from trajlab.store.snapshot import take
from trajlab.store.view import view


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
    snapshot = take(path)
    for unread in snapshot.unread:
        os.replace(unread, unread.with_name(unread.name + ".unread"))
    header = replace(snapshot.header, status=status)
    parts.publish(build(header, (view(snapshot, name).block() for name in snapshot.tables)), path)
    for number in parts.numbers(path):
        if number <= snapshot.header.last_part:
            parts.part(path, number).unlink()
    with suppress(OSError):  # not empty: something was set aside
        parts.folder(path).rmdir()
    parts.sync_folder(path.parent)
