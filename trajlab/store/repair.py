"""What can be saved of a damaged run."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.store import legacy, parts, seal
from trajlab.store.log import LogReader
from trajlab.store.merge import write
from trajlab.store.pool import File
from trajlab.store.rows import Block, Stored
from trajlab.store.snapshot import Snapshot
from trajlab.store.source import Source
from trajlab.store.view import view


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
    said = [source.header for source in saved.sources if source.path not in damaged or not saved.intact]
    last = saved.sources[-1].header
    problems = tuple(dict.fromkeys([*said[-1].problems, *saved.lost]))
    header = replace(said[-1], status="recovered", sessions=last.sessions, problems=problems)
    try:
        write(Snapshot(path, tuple(saved.sources), (), ()), header, out, _in_order)
    except OSError as error:
        raise TrajlabError(f"{out} cannot be written ({error.strerror})") from error
    return tuple(saved.lost)
