"""What can be saved of a damaged run."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.store import parts, salvage
from trajlab.store.image import Block, build
from trajlab.store.seal import verify
from trajlab.store.snapshot import Snapshot, Source
from trajlab.store.view import view

_SECONDS = 60.0  # for a damaged file, and another for each 10 MB: HDF5 may read for ever


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
    if parts.exists(out) or out.suffix != ".h5":
        raise TrajlabError(f"{out} exists or does not end in .h5; name a new file")
    lost: list[str] = []
    files = [path, *(parts.part(path, number) for number in parts.numbers(path))]
    files = [file for file in [*files, *parts.set_aside(path)] if file.exists()]
    intact = [file for file in files if _matches(file, whole=True)]
    sources: list[Source] = []
    for file in [*intact, *(file for file in files if file not in intact)]:
        sources = _joined(path, sources, file, lost, intact=file in intact)
    if not sources:
        raise TrajlabError(f"{path}: nothing can be saved; {' '.join(lost) or 'it is not there'}")
    lost += _gaps(path, sources)
    # what a damaged file says of the run holds only where no other says it
    said = [source.header for source in sources if source.path in intact or not intact]
    header = replace(said[-1], status="recovered", sessions=sources[-1].header.sessions)
    snapshot = Snapshot(path, tuple(sources), (), ())
    blocks = (_in_order(view(snapshot, name).block()) for name in snapshot.tables)
    try:
        parts.publish(build(header, blocks), out)
    except OSError as error:
        raise TrajlabError(f"{out} cannot be written ({error.strerror})") from error
    return tuple(lost)


def _matches(file: Path, *, whole: bool) -> bool:
    """Tell whether the checksums of a file match: all, or all but those of large columns."""
    with open(file, "rb") as content:
        try:
            verify(content, str(file), whole=whole)
        except TrajlabError:
            return False
    return True


def _joined(
    path: Path, sources: list[Source], file: Path, lost: list[str], *, intact: bool
) -> list[Source]:
    """Return `sources` with what is valid in `file`, in the order of writing."""
    image, sentences = None, list[str]()
    try:
        if not intact:
            image, sentences = _salvaged(file)
        source = Source(file, image)
        if sources and source.header.run_id != sources[0].header.run_id:
            raise TrajlabError("it belongs to another run")
        # a part set aside comes before the file that lacks it
        joined = sorted(
            [*sources, source], key=lambda s: (len(s.header.sessions), s.header.last_part)
        )
        for name in () if intact else source.tables:
            view(Snapshot(path, tuple(joined), (), ()), name).block()  # do they agree?
    except ValueError as error:
        lost.append(f"{file} is lost ({error})")
        return sources
    lost += sentences
    if not intact and not _matches(file, whole=False):
        lost.append(
            f"{file} is damaged where its lists of tables, names, units and metadata may stand, "
            f"which have no checksum of their own; compare them with what you know"
        )
    return joined


def _salvaged(file: Path) -> tuple[bytes, list[str]]:
    """Return what `salvage` returns, from a process of its own: HDF5 may crash on damage."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", salvage.__name__, str(file)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS + file.stat().st_size / 10e6,
        )
    except subprocess.TimeoutExpired:
        raise TrajlabError("reading it takes for ever") from None
    if done.returncode < 0:
        raise TrajlabError(f"HDF5 crashed on it: {signal.strsignal(-done.returncode)}")
    if done.returncode:
        raise TrajlabError(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    sentences, _, image = done.stdout.partition(b"\n")
    return image, json.loads(sentences)


def _in_order(block: Block) -> Block:
    rows = {name: np.concatenate(list(arrays)) for name, arrays in block.pieces.items()}
    order = np.argsort(rows["step"], kind="stable")
    return Block(block.table, block.length, {name: [a[order]] for name, a in rows.items()})


def _gaps(path: Path, sources: list[Source]) -> list[str]:
    """Say which parts are missing between those that were saved."""
    sealed = max((s.header.last_part for s in sources if s.path == path), default=0)
    numbers = sorted(s.header.last_part for s in sources if s.header.last_part > sealed)
    return [
        f"parts {before + 1} to {number - 1} of {path} are lost"
        for before, number in zip([sealed, *numbers], numbers, strict=False)
        if number > before + 1
    ]
