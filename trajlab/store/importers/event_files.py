"""The frames that TensorBoard keeps its events in, and where a file of them breaks off."""

import struct
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store.importers.texts import read_bytes

_LENGTH, _CHECK = struct.Struct("<Q"), struct.Struct("<I")


def broken_off(file: Path) -> str:
    """Return what is missing of an event file: TensorBoard stops there and says nothing.

    A frame is the length of a record, its checksum, the record, and the record's checksum.

    Parameters
    ----------
    file
        An event file.

    Returns
    -------
    str
        How many records are whole and how many bytes come after them; empty if all are.

    Raises
    ------
    TrajlabError
        If the file cannot be read, is empty, or begins with no such frame.
    """
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    data, position, whole = memoryview(read_bytes(file)), 0, 0
    while position < len(data):
        head = data[position : position + _LENGTH.size]
        start = position + _LENGTH.size + _CHECK.size
        if start > len(data) or _CHECK.unpack_from(data, start - 4)[0] != masked_crc32c(head):
            break
        end = start + _LENGTH.unpack(head)[0]
        if end + _CHECK.size > len(data):
            break
        if _CHECK.unpack_from(data, end)[0] != masked_crc32c(data[start:end]):
            break
        position, whole = end + _CHECK.size, whole + 1
    if not whole:
        raise TrajlabError(f"{file} is no event file of TensorBoard, or damaged from its start")
    left = len(data) - position
    if not left:
        return ""
    return (
        f"{file.name} is torn or damaged after {whole} whole records: the {left} bytes that follow "
        "are left out, with what was logged in them"
    )
