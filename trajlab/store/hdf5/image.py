"""The HDF5 file that a sealed run is, written column by column.

Every table is a group; every axis is a data set of that name in the table's own group, a dimension
scale attached to each column that uses it (xarray loses coordinates that lie at the root).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np

from trajlab.store import rows
from trajlab.store.hdf5.disk import Unrefusing
from trajlab.store.header import Header
from trajlab.store.rows import Array, Block, Extent, Stored

_LIBVER = ("earliest", "v110")  # no consistency flags to clear
_TEXT = h5py.string_dtype()
_MOST = 48 * 2**10  # bytes of an attribute; HDF5 takes 64 KiB

Texts = dict[tuple[str, str], list[bytes]]


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
    target = Unrefusing(file)
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
    target: Unrefusing,
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
        if size > _MOST:
            item.attrs[name] = json.dumps(values.tolist())  # a text may be of any length
        elif values.ndim and (values.dtype.kind == "U" or not values.size):
            item.attrs.create(name, values.tolist(), shape=values.shape, dtype=_TEXT)
        else:
            item.attrs[name] = value
