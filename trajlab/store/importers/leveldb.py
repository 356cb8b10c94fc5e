"""Records of LevelDB's log format, which wandb keeps its runs in."""

import struct
from collections.abc import Iterator

_HEADER, _BLOCK, _RECORD = 7, 2**15, struct.Struct("<IHB")
_WHOLE, _LAST = 1, 4


def records(data: bytes) -> Iterator[bytes]:
    """Return the records of a log, up to where a crash may have torn it."""
    position, parts = _HEADER, b""
    while position + _RECORD.size <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _RECORD.size:  # the block's padding
            position += left
            continue
        _, length, kind = _RECORD.unpack_from(data, position)
        position += _RECORD.size
        if kind == 0 or position + length > len(data):
            return
        parts += data[position : position + length]
        position += length
        if kind in (_WHOLE, _LAST):
            yield parts
            parts = b""
