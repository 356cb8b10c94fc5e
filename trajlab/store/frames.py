"""Frames of an append-only log: flushes, one behind the other, each with its checksums.

::

    head    magic, two slots: bytes that were acknowledged (u64), CRC-32 of that, 4 zero bytes
    frame   magic, length of the facts (u32), length of the body (u64), CRC-32 of these and the
            facts
            facts   JSON: the header, declarations, rows, each where there is something new
            body    the bytes of the columns

A slot is renewed after a frame is on disk, the two in turn. So what lies before the larger of
them was promised to survive, and is damaged if it does not check; what lies behind it and does
not check was cut off before anything was promised, or is being written just now.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from trajlab.errors import TrajlabError
from trajlab.store.pool import File

MAGIC = b"\ntrajlog"
HEAD = 40  # bytes
FACTS = 16 * 2**20  # bytes of facts at most: they are read whole, and may come from anybody
_SLOT = struct.Struct("<QI4x")
_BEGIN = struct.Struct("<4sIQ")
_CRC = struct.Struct("<I")
_PREFIX = _BEGIN.size + _CRC.size
_FRAME = b"\x02tlf"
_LEAST, _MOST = 2**12, 2**20  # bytes that are searched at once


class Frame(NamedTuple):
    """One flush as it was found: where it ends, its facts, where its body begins."""

    end: int
    facts: Mapping[str, Any]
    body: int


def slot(length: int) -> bytes:
    """Return the slot that says how many bytes were acknowledged."""
    return _SLOT.pack(length, zlib.crc32(length.to_bytes(8, "little")))


def slot_offset(turn: int) -> int:
    """Return where the slot lies that is renewed by the turn of this number."""
    return len(MAGIC) + _SLOT.size * (turn % 2)


def head(length: int) -> bytes:
    """Return the head of a log of which so many bytes are acknowledged."""
    return MAGIC + slot(0) + slot(length)


def acknowledged(content: bytes) -> int:
    """Return how many bytes of a log were promised to survive, by its head.

    Raises
    ------
    TrajlabError
        If it is no log's head.
    """
    if content[: len(MAGIC)] != MAGIC:
        raise TrajlabError("it does not begin as a log does")
    lengths = [0]
    for turn in range(2):
        length, crc = _SLOT.unpack_from(content.ljust(HEAD, b"\0"), slot_offset(turn))
        if crc == zlib.crc32(length.to_bytes(8, "little")):
            lengths.append(length)
    return max(lengths)


def frame(facts: Mapping[str, Any], body: bytes) -> bytes:
    """Return the bytes of a frame.

    Raises
    ------
    TrajlabError
        If the facts are longer than a reader takes.
    """
    told = json.dumps(facts).encode()
    if len(told) > FACTS:
        raise TrajlabError(
            f"labels, attributes and metadata take {len(told) / 2**20:.0f} MiB; keep them below "
            f"{FACTS // 2**20}"
        )
    begin = _BEGIN.pack(_FRAME, len(told), len(body))
    return b"".join([begin, _CRC.pack(zlib.crc32(told, zlib.crc32(begin))), told, body])


def read_frame(file: File, at: int) -> Frame | None:
    """Return the frame at `at` if its facts check."""
    if at + _PREFIX > file.size:
        return None
    prefix = file.read(at, _PREFIX).tobytes()
    magic, length, size = _BEGIN.unpack_from(prefix)
    first = at + _PREFIX
    if magic != _FRAME or length > FACTS or first + length + size > file.size:
        return None
    told = file.read(first, length).tobytes()
    if prefix[_BEGIN.size :] != _CRC.pack(zlib.crc32(told, zlib.crc32(prefix[: _BEGIN.size]))):
        return None
    try:
        facts = json.loads(told)
    except (ValueError, RecursionError):
        return None
    return Frame(first + length + size, facts, first + length) if type(facts) is dict else None


def next_frame(file: File, at: int, most: int) -> tuple[int | None, int]:
    """Return where behind damage the next frame begins whose facts check, and what was read.

    Parameters
    ----------
    file
        A log.
    at
        Where to begin.
    most
        Bytes to read at most, about.
    """
    read, size = 0, _LEAST
    while at < file.size and read < most:
        content = file.read(at, min(size, file.size - at)).tobytes()
        read += len(content)
        start = content.find(_FRAME)
        if start < 0:
            at += max(1, len(content) - len(_FRAME) + 1)
            size = min(2 * size, _MOST)
        elif read_frame(file, at + start) is not None:
            return at + start, read
        else:
            (length,) = _CRC.unpack_from(content[start + 4 :].ljust(4, b"\0"))
            at += start + 1
            read += length if length <= min(FACTS, file.size) else 0
    return None, read
