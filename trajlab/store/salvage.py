"""What can be read of one damaged file; run as a process of its own, which HDF5 may crash."""

import json
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py

from trajlab.store.image import Block, build, read, read_header, read_table, table_names
from trajlab.store.snapshot import Source


def salvage(path: Path) -> tuple[bytes, list[str]]:
    """Read what is valid in one file.

    Returns
    -------
    bytes
        A sealed file of the columns whose checksums match.
    list of str
        A sentence for each column and table that was lost.

    Raises
    ------
    Exception
        Whatever h5py makes of the damage, if nothing can be read.
    """
    source = str(path)
    lost: list[str] = []
    with tempfile.TemporaryFile() as copy:
        with open(path, "rb") as original:
            shutil.copyfileobj(original, copy)
        copy.flush()
        # HDF5 opens no file that was cut off; what is missing has no valid checksum
        superblock = os.pread(copy.fileno(), 48, 0).ljust(48, b"\0")
        (length,) = struct.unpack_from("<Q", superblock, 40)  # as it says itself
        copy.truncate(max(copy.tell(), length))
        with Source.opened(copy, source) as file:
            header = read_header(file, source)
            blocks = [_table(file, name, source, lost) for name in _tables(file, source, lost)]
        return build(header, [block for block in blocks if block is not None]), lost


def _tables(file: h5py.File, source: str, lost: list[str]) -> Iterator[str]:
    for name in file:
        try:
            yield from ([name] if "step" in file[name] else table_names(file[name], f"{name}/"))
        except Exception as error:  # whatever h5py makes of damage
            lost.append(f"table {name} of {source} is lost ({error})")


def _table(file: h5py.File, name: str, source: str, lost: list[str]) -> Block | None:
    """Return the valid columns of one table, or None if its steps are not."""
    try:
        table = read_table(file, name, source)
        length = len(file[name]["step"])
        pieces = {key: [read(file[name], key, source)] for key in {"step", *table.key}}
    except Exception as error:
        lost.append(f"table {name} of {source} is lost ({error})")
        return None
    for column in table.columns:
        try:
            pieces[column.name] = [read(file[name], column.name, source)]
        except Exception:
            lost.append(f"column {column.name} of table {name} in {source} is lost")
    return Block(table.only(*(c.name for c in table.columns if c.name in pieces)), length, pieces)


if __name__ == "__main__":
    try:
        image, lost = salvage(Path(sys.argv[1]))
    except Exception as error:
        sys.exit(str(error) or type(error).__name__)
    sys.stdout.buffer.write(json.dumps(lost).encode() + b"\n" + image)
