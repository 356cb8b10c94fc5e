"""The seal at the end of a file: checksums behind the HDF5 bytes, where HDF5 does not look.

::

    image    the HDF5 file
    extents  for each large column: offset, size, CRC-32 of its bytes
    end      magic, length of the image, number of extents, CRC-32

The last CRC-32 covers everything but the large columns: the image without them, the extents, and
the end itself. So a file of any size can be opened after reading little of it, and each large
column be verified when it is read; or the whole file at once.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO

from trajlab.errors import TrajlabError

Extent = tuple[int, int]  # offset and size in bytes

_EXTENT = struct.Struct("<QQI4x")
_END = struct.Struct("<8sQI")
_CRC = struct.Struct("<I")
_MAGIC = b"\ntrajlab"
_CHUNK = 16 * 2**20


def tail(image: BinaryIO, extents: Sequence[Extent]) -> bytes:
    """Return the bytes that seal `image` when they follow it.

    Parameters
    ----------
    image
        A file that holds the HDF5 bytes and nothing behind them.
    extents
        Where its large columns lie, in order.
    """
    length = image.seek(0, os.SEEK_END)
    listed = b"".join(
        _EXTENT.pack(offset, size, _crc32(image, offset, size)) for offset, size in extents
    )
    end = listed + _END.pack(_MAGIC, length, len(extents))
    return end + _CRC.pack(zlib.crc32(end, _rest(image, length, extents)))


def verify(file: BinaryIO, source: str, *, whole: bool = True) -> None:
    """Compare the checksums of a sealed file.

    Parameters
    ----------
    file
        The file, open for reading.
    source
        What to call it.
    whole
        Whether the large columns too; each carries a checksum of its own for when it is read.

    Raises
    ------
    TrajlabError
        If a single bit differs from what was written.
    """
    size = file.seek(0, os.SEEK_END)
    fixed = _END.size + _CRC.size
    file.seek(max(0, size - fixed))
    end = file.read(fixed)
    if len(end) == fixed:
        magic, length, count = _END.unpack_from(end)
        if magic == _MAGIC and length + count * _EXTENT.size + fixed == size:
            file.seek(length)
            listed = file.read(count * _EXTENT.size)
            extents = [(o, n) for o, n, _ in _EXTENT.iter_unpack(listed)]
            crc = zlib.crc32(end[: _END.size], zlib.crc32(listed, _rest(file, length, extents)))
            if end[_END.size :] != _CRC.pack(crc) or (
                whole and any(_crc32(file, o, n) != c for o, n, c in _EXTENT.iter_unpack(listed))
            ):
                raise TrajlabError(
                    f"{source} is damaged: its checksum does not match; restore it from a copy"
                )
            return
    raise TrajlabError(
        f"{source} is not a trajectory file, or it is truncated: the checksum at its end is "
        f"missing; restore it from a copy"
    )


def _rest(file: BinaryIO, length: int, extents: Sequence[Extent]) -> int:
    """Return the CRC-32 of the image without its large columns."""
    crc = first = 0
    for offset, size in [*extents, (length, 0)]:
        crc = _crc32(file, first, offset - first, crc)
        first = offset + size
    return crc


def _crc32(file: BinaryIO, offset: int, size: int, crc: int = 0) -> int:
    file.seek(offset)
    while size > 0 and (chunk := file.read(min(size, _CHUNK))):
        crc = zlib.crc32(chunk, crc)
        size -= len(chunk)
    return crc
