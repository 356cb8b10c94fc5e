"""Sealed files of format version 1: an HDF5 file and its checksums, without an index.

::

    image    the HDF5 file
    extents  for each large column: offset, size, CRC-32 of its bytes
    end      magic, length of the image, number of extents, CRC-32 of all but the large columns

Where the numbers lie only HDF5 can say; it is asked in a process of its own.
"""

import struct
from collections.abc import Iterator

from trajlab.errors import TrajlabError
from trajlab.store import rows
from trajlab.store.hdf5.process import found
from trajlab.store.header import from_attributes
from trajlab.store.pool import File
from trajlab.store.rows import Stored
from trajlab.store.source import Source

WHOLE = 64 * 2**20  # bytes up to which a file is verified whole when it is opened

_EXTENT = struct.Struct("<QQI4x")
_END = struct.Struct("<8sQI")
_CRC = struct.Struct("<I")
_MAGIC = b"\ntrajlab"


def read_legacy(file: File) -> Source:
    """Verify a file of version 1, and say where its numbers lie.

    Raises
    ------
    TrajlabError
        If it is none, or damaged.
    """
    verify(file, whole=file.size <= WHOLE)
    return placed(file, lenient=False)[0]


def placed(file: File, *, lenient: bool) -> tuple[Source, list[str]]:
    """Return what HDF5 finds in a file, and a sentence for each thing it could not read.

    Raises
    ------
    TrajlabError
        If it finds nothing; without `lenient`, if it could not read all.
    """
    source = str(file.path)
    try:
        facts = found(file.path, lenient=lenient)
        header = from_attributes(facts["header"].__getitem__, source)
        texts = facts["texts"].encode()
        tables, stored, lost = {}, dict[str, list[Stored]](), list[str](facts["lost"])
        for told, entry in zip(facts["tables"], facts["rows"], strict=True):
            table = rows.declared(told)
            block = rows.located(entry, {table.name: table}, 0, file.size + len(texts))
            tables[table.name], stored[table.name] = table, [block]
    except (TrajlabError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        if "trajlab did not write it" in str(error) or "upgrade trajlab" in str(error):
            raise
        raise TrajlabError(f"{source} is damaged ({error}); restore it from a copy") from error
    made = Source(file, header, tables, stored, texts=texts)
    return made, lost


def verify(file: File, *, whole: bool) -> None:
    """Compare the checksums of a file of version 1.

    Raises
    ------
    TrajlabError
        If it is no such file, or a single bit differs from what was written.
    """
    fixed = _END.size + _CRC.size
    end = file.read(max(0, file.size - fixed), min(fixed, file.size)).tobytes()
    if len(end) == fixed:
        magic, length, count = _END.unpack_from(end)
        if magic == _MAGIC and length + count * _EXTENT.size + fixed == file.size:
            listed = file.read(length, count * _EXTENT.size).tobytes()
            extents = list(_EXTENT.iter_unpack(listed))
            crc = 0
            for offset, size in _gaps(extents, length, str(file.path)):
                crc = file.checksum(offset, size, crc)
            crc = rows.crc32(end[: _END.size], rows.crc32(listed, crc))
            bad = end[_END.size :] != _CRC.pack(crc)
            if bad or (whole and any(file.checksum(o, n) != c for o, n, c in extents)):
                raise TrajlabError(
                    f"{file.path} is damaged: its checksum does not match; restore it from a copy"
                )
            return
    raise TrajlabError(
        f"{file.path} is not a trajectory file, or it is truncated: the checksum at its end is "
        f"missing; restore it from a copy (logs of other kinds come in by trajlab import)"
    )


def _gaps(
    extents: list[tuple[int, int, int]], length: int, source: str
) -> Iterator[tuple[int, int]]:
    """Yield the stretches between the extents, which are ascending and disjoint."""
    at = 0
    for offset, size, _ in [*extents, (length, 0, 0)]:
        if not at <= offset <= length:
            raise TrajlabError(f"{source} is damaged: its extents overlap; restore it from a copy")
        yield at, offset - at
        at = offset + size
