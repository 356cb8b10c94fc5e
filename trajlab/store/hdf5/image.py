"""The HDF5 file that a sealed run is, written column by column.

Every table is a group; every axis is a data set of that name in the table's own group, a dimension
scale attached to each column that uses it (xarray loses coordinates that lie at the root).
"""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np

from trajlab.store import rows
from trajlab.store.header import Header
from trajlab.store.rows import Array, Block, Extent, Stored

_LIBVER = ("earliest", "v110")  # no consistency flags to clear
_TEXT = h5py.string_dtype()
_MOST = 48 * 2**10  # bytes of an attribute; HDF5 takes 64 KiB

Texts = dict[tuple[str, str], list[bytes]]


class Target:
    """What HDF5 takes for a disk that never refuses.

    It crashes the process at its end after a write that failed, and a forked process that ends
    writes what it has inherited. So nothing is told to it: the first refusal is kept, and what
    comes from another process is dropped.

    Parameters
    ----------
    file
        Open for writing, unbuffered.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._pid = os.getpid()
        self._at = 0
        self.refusal: OSError | None = None

    def check(self) -> None:
        """Raise the first refusal, if there was one.

        Raises
        ------
        OSError
            What the disk said.
        """
        if self.refusal is not None:
            raise self.refusal

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as a file does."""
        self._at = offset if whence == os.SEEK_SET else self._file.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        """Return the position, as a file does."""
        return self._at

    def read(self, size: int) -> bytes:
        """Read, as a file does: h5py knows a file by this."""
        content = bytearray(size)
        self.readinto(content)
        return bytes(content)

    def readinto(self, buffer: Any) -> int:
        """Read, as a file does; what could not be written is zeros."""
        view = memoryview(buffer).cast("B")
        self._file.seek(self._at)
        count = self._file.readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        self._at += len(view)
        return len(view)

    def write(self, content: Any) -> int:
        """Write, as a file does that is never full."""
        view = memoryview(content).cast("B")
        self._tried(lambda: self._put(view))
        self._at += len(view)
        return len(view)

    def truncate(self, size: int) -> int:
        """Set the size, as a file does."""
        self._tried(lambda: self._file.truncate(size))
        return size

    def flush(self) -> None:
        """Do nothing: nothing is buffered here."""

    def _put(self, view: memoryview) -> None:
        self._file.seek(self._at)
        done = 0
        while done < len(view):
            done += self._file.write(view[done:])

    def _tried(self, call: Any) -> None:
        if self.refusal is None and os.getpid() == self._pid:
            try:
                call()
            except OSError as error:
                self.refusal = error


def write(file: Any, header: Header, blocks: Iterable[Block]) -> tuple[list[Stored], Texts]:
    """Write an HDF5 file, column by column.

    Parameters
    ----------
    file
        An empty file, open for reading and writing, unbuffered.
    header
        The root attributes.
    blocks
        All rows of each table; pieces are asked for when their turn has come.

    Returns
    -------
    list of Stored
        Where the columns lie, but for texts.
    dict
        By table and column, pieces of the text columns as bytes.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    target = Target(file)
    stored = []
    texts: Texts = {}
    blocks = list(blocks)
    with h5py.File(target, "w", libver=_LIBVER, track_order=True) as made:
        _write_attributes(made, header.attributes())
        # all that is no number gets its place at the front, where a file cut off still has it
        for block in blocks:
            _declare(made.create_group(block.table.name, track_order=True), block)
        made.flush()
        for block in blocks:
            group = made[block.table.name]
            extents = {}
            for name, pieces in block.pieces.items():
                dtype = rows.column(block.table, name).dtype
                kept = texts.setdefault((block.table.name, name), []) if dtype == "str" else None
                extent = _fill(group[name], pieces, dtype, target, kept)
                if kept is None:
                    extents[name] = extent
            stored.append(Stored(block.table, block.length, extents))
    target.check()
    return stored, texts


def _declare(group: Any, block: Block) -> None:
    """Make the data sets of a table; only labels are filled."""
    table = block.table
    _write_attributes(group, {**table.attributes, "key": list(table.key), "kind": table.kind})
    scales = {}
    for axis in ("step", *table.coordinates):
        if axis == "step":
            scales[axis] = _made(group, axis, (block.length,), "int64")
        else:
            labels = np.asarray(table.coordinates[axis])
            text = labels.dtype.kind == "U"
            dtype = "str" if text else str(labels.dtype)
            scales[axis] = _made(group, axis, labels.shape, dtype)
            scales[axis][...] = labels.astype(object) if text else labels
            content = rows.encoded(labels)
            scales[axis].attrs.modify("crc32", np.uint32(rows.crc32(content)))
        scales[axis].make_scale(axis)
    for column in table.columns:
        shape = (block.length, *table.shape(column))
        item = _made(group, column.name, shape, column.dtype)
        for dimension, axis in zip(item.dims, column.axes, strict=True):
            dimension.attach_scale(scales[axis])
        _write_attributes(
            item, {**column.attributes, "units": column.units, "description": column.description}
        )


def _made(group: Any, name: str, shape: tuple[int, ...], dtype: str) -> Any:
    item = group.create_dataset(name, shape, _TEXT if dtype == "str" else np.dtype(dtype))
    item.attrs["crc32"] = np.uint32(0)
    return item


def _fill(
    item: Any,
    pieces: Iterable[Array],
    dtype: str,
    target: Target,
    texts: list[bytes] | None,
) -> Extent:
    """Write the numbers of a data set, and return where they lie."""
    crc = first = size = 0
    for piece in pieces:
        if not piece.size:
            continue
        content = rows.encoded(piece)
        if dtype == "str" and first:
            content = b"\0" + content
        crc = rows.crc32(content, crc)
        item[first : first + len(piece)] = piece
        target.check()
        first += len(piece)
        size += len(content)
        if texts is not None:
            texts.append(content)
    item.attrs.modify("crc32", np.uint32(crc))
    return Extent(item.id.get_offset() or 0, size, crc)


def _write_attributes(item: Any, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        values = np.asarray(value)
        size = 16 * values.size if values.dtype.kind == "U" else values.nbytes
        if values.ndim and size > _MOST:
            item.attrs[name] = json.dumps(values.tolist())  # a text may be of any length
        elif values.ndim and (values.dtype.kind == "U" or not values.size):
            item.attrs.create(name, values.tolist(), shape=values.shape, dtype=_TEXT)
        else:
            item.attrs[name] = value
