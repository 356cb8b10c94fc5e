"""Sealed files: an HDF5 file for everybody, and behind it where everything lies.

::

    image   the HDF5 file
    texts   once more as UTF-8 with NUL between each two: HDF5 scatters them
    index   JSON: the header, declarations and rows as in `rows`, the length of the image, and
            the CRC-32 of what of it is no column ("rest")
    end     offset and length of the index (u64, u64), CRC-32 of the index and these, magic

HDF5 does not look behind its own end. This package reads numbers by the index alone: a file that
comes from anybody meets no HDF5 library here, a file is opened by reading its last bytes, and a
column by reading that column.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store import rows
from trajlab.store.frames import FACTS
from trajlab.store.header import Header, from_attributes
from trajlab.store.pool import File
from trajlab.store.rows import Extent, Stored
from trajlab.store.source import Source
from trajlab.store.table import Table

WHOLE = 2**20  # bytes up to which a file is verified whole when it is opened, in half a millisecond
MAGIC = b"trajlab2"
_PLACE = struct.Struct("<QQ")
_CRC = struct.Struct("<I")
_END = _PLACE.size + _CRC.size + len(MAGIC)


def behind(
    header: Header,
    image: int,
    rest: int,
    stored: Sequence[Stored],
    texts: Mapping[tuple[str, str], Sequence[bytes]],
) -> Iterable[bytes]:
    """Yield what seals an HDF5 file when it follows it.

    Parameters
    ----------
    header
        Of the run.
    image
        Length of the HDF5 file.
    rest
        CRC-32 of what of it is no column.
    stored
        The rows of each table, without their texts.
    texts
        By table and column, pieces of the text columns as they are stored.
    """
    at = image
    placed = []
    for block in stored:
        places: dict[str, Extent] = dict(block.extents)
        for column in block.table.columns:
            pieces = texts.get((block.table.name, column.name))
            if pieces is None:
                continue
            crc = size = 0
            for piece in pieces:
                crc, size = rows.crc32(piece, crc), size + len(piece)
                yield piece
            places[column.name] = Extent(at, size, crc)
            at += size
        placed.append((block.table.name, block.length, places))
    index = json.dumps(
        {
            "header": header.attributes(),
            "image": image,
            "rest": rest,
            "tables": rows.described(block.table for block in stored),
            "rows": placed,
        }
    ).encode()
    place = _PLACE.pack(at, len(index))
    yield index + place + _CRC.pack(zlib.crc32(place, zlib.crc32(index))) + MAGIC


def is_sealed(file: File) -> bool:
    """Tell whether a file ends as a sealed file does."""
    if file.size < _END:
        return False
    return file.read(file.size - len(MAGIC), len(MAGIC)).tobytes() == MAGIC


def read_sealed(file: File) -> Source:
    """Read the index of a sealed file, and verify the rest of it where that takes no time.

    Raises
    ------
    TrajlabError
        If it does not check, or contradicts itself.
    """
    source = read_index(file)
    if file.size <= WHOLE:
        verify(source)
    return source


def read_index(file: File) -> Source:
    """Read the index of a sealed file.

    Raises
    ------
    TrajlabError
        If it does not check, or contradicts itself.
    """
    source = str(file.path)
    facts = _index(file)
    try:
        header = from_attributes(facts["header"].__getitem__, source)
        tables: dict[str, Table] = {}
        for table in map(rows.declared, facts["tables"]):
            tables[table.name] = table
            rows.require_few(len(tables), table)
        stored: dict[str, list[Stored]] = {}
        for entry in facts["rows"]:
            block = rows.located(entry, tables, 0, file.size)
            if block.table.name in stored or not _is_whole(block):
                raise _damaged(source, f"rows of table {block.table.name} lack a place or have two")
            stored[block.table.name] = [block]
        if stored.keys() != tables.keys():
            raise _damaged(source, "a table in it has no rows")
        made = Source(file, header, tables, stored)
        if {type(facts["image"]), type(facts["rest"])} != {int}:
            raise _damaged(source, "its index does not say where it ends")
        gaps(made, facts["image"])
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(source, error) from error
    return made


def _index(file: File) -> Any:
    """Return the index of a sealed file as it stands there, once its checksum matches."""
    source = str(file.path)
    if not is_sealed(file):
        raise _damaged(source, "the magic at its end is missing")
    end = file.read(file.size - _END, _END).tobytes()
    offset, length = _PLACE.unpack_from(end)
    if offset + length + _END != file.size or length > FACTS:
        raise _damaged(source, "its index lies elsewhere")
    told = file.read(offset, length).tobytes()
    crc = zlib.crc32(end[: _PLACE.size], zlib.crc32(told))
    if end[_PLACE.size : -len(MAGIC)] != _CRC.pack(crc):
        raise _damaged(source, "the checksum of its index does not match")
    try:
        return json.loads(told)
    except (ValueError, RecursionError) as error:
        raise _damaged(source, error) from error


def _is_whole(block: Stored) -> bool:
    """Tell whether every column has its place, as all have in a sealed file."""
    return block.extents.keys() == {"step", *(column.name for column in block.table.columns)}


def verify(source: Source) -> None:
    """Compare every checksum of a sealed file.

    Raises
    ------
    TrajlabError
        If a single bit differs from what was written.
    """
    file = source.file
    for block in (block for stored in source.stored.values() for block in stored):
        for name, extent in block.extents.items():
            crc = file.checksum(extent.offset, extent.size)
            file.compare(crc, extent, f"column {name} of table {block.table.name}")
    if not rest_matches(source):
        raise _damaged(str(file.path), "a checksum in it does not match")


def rest_matches(source: Source) -> bool:
    """Tell whether what is no column in a sealed file is what was written."""
    index = _index(source.file)
    return bool(rest(source.file, gaps(source, index["image"])) == index["rest"])


def rest(file: File, between: Iterable[tuple[int, int]]) -> int:
    """Return the CRC-32 of what lies between the columns.

    Parameters
    ----------
    file
        The file.
    between
        Offset and size of each stretch.
    """
    crc = 0
    for offset, size in between:
        crc = file.checksum(offset, size, crc)
    return crc


def gaps(source: Source, image: int) -> list[tuple[int, int]]:
    """Return offset and size of each stretch of the image that is no column.

    Raises
    ------
    TrajlabError
        If columns overlap.
    """
    stored = (block for blocks in source.stored.values() for block in blocks)
    extents = [e for block in stored for e in block.extents.values() if e.size]
    found = []
    at = 0
    for offset, size, _ in sorted(extents):
        if offset < at:
            raise _damaged(str(source.path), "columns in it overlap")
        if at < min(offset, image):
            found.append((at, min(offset, image) - at))
        at = offset + size
    return [*found, (at, image - at)] if at < image else found


def _damaged(source: str, reason: object) -> TrajlabError:
    return TrajlabError(f"{source} is damaged ({reason}); restore it from a copy")
