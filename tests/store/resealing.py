"""Sealed files whose bytes were changed, with the checksum that the changed ones have."""

import json
import struct
import zlib
from typing import Any


def index_of(content: bytes) -> tuple[dict[str, Any], int]:
    """Return the index of a sealed file, and where it begins."""
    offset, length = struct.unpack("<QQ", content[-28:-12])
    return json.loads(content[offset : offset + length]), offset


def resealed(before: bytes, facts: dict[str, Any]) -> bytes:
    """Return a file that has these bytes before its index, whose checksum is of them.

    Parameters
    ----------
    before
        All before the index; the rows are not in the checksum, for each has its own.
    facts
        The index as it was.
    """
    extents = sorted(tuple(e[:2]) for _, _, c in facts["rows"] for e in c.values() if e[1])
    at = crc = 0
    for first, size in [*extents, (facts["image"], 0)]:
        crc = zlib.crc32(before[at : min(first, facts["image"])], crc)
        at = max(at, first + size)
    told = json.dumps({**facts, "rest": crc}).encode()
    place = struct.pack("<QQ", len(before), len(told))
    end = place + struct.pack("<I", zlib.crc32(place, zlib.crc32(told))) + b"trajlab2"
    return before + told + end
