"""Output files: refused where one exists, and there whole or not at all."""

import os
from collections.abc import Iterable
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store.files import is_stream, replacing


def refuse_existing(paths: Iterable[Path], *, force: bool) -> None:
    """Say before any work is done that an output file could not be written.

    Parameters
    ----------
    paths
        Files about to be written; a device or a pipe is none, and holds nothing to lose.
    force
        Whether an existing file may be replaced.

    Raises
    ------
    TrajlabError
        If a file exists and ``force`` is not given, or its folder is missing or read-only.
    """
    for path in paths:
        if is_stream(path):
            continue
        if path.is_dir():
            raise TrajlabError(f"{path} is a folder; name a file to write.")
        if path.exists() and not force:
            raise TrajlabError(f"{path} exists; name another file, or replace it with --force.")
        if not path.parent.is_dir():
            raise TrajlabError(f"{path.parent} is no folder; create it, or name another file.")
        if not os.access(path.parent, os.W_OK):
            raise TrajlabError(f"{path.parent} is read-only; name a file in another folder.")


def write(path: Path, content: bytes) -> None:
    """Write a file so that whoever looks sees the old one, or the whole new one.

    Parameters
    ----------
    path
        The file; replaced if it exists.
    content
        All of it.
    """
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)
