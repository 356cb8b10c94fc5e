"""HDF5 images: a whole file built in memory, sealed by a checksum, and read back.

Nothing here opens a file for writing on disk. Layout: every table is a group; every axis is a
data set of that name in the table's own group, a dimension scale attached to each column that
uses it (xarray loses coordinates that lie at the root).
"""

import itertools
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from trajlab.errors import TrajlabError
from trajlab.store.header import INTEGERS, Header, from_attributes
from trajlab.store.seal import Extent, tail
from trajlab.store.table import Column, Table

LIBVER = ("earliest", "v110")  # no consistency flags to clear
_TEXT = h5py.string_dtype()
_OWN_COLUMN = {"units", "description", "crc32"}
_STRUCTURE = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"}
_OWN_TABLE = {"key", "kind"}
_LARGE = 2**20  # bytes from which on a column is left out of the checksum of the rest
_SLICE = 64 * 2**20  # bytes of a column that a streamed merge holds at a time
# Two open images of one name are one file to HDF5.
_names = (f"trajlab-{os.getpid()}-{n}" for n in itertools.count())

Array = NDArray[Any]


@dataclass(frozen=True)
class Block:
    """Rows of one table.

    Parameters
    ----------
    table
        Its declaration.
    length
        The number of rows.
    pieces
        For ``step`` and each column, arrays that make up its rows one after another.
    """

    table: Table
    length: int
    pieces: Mapping[str, Iterable[Array]]


def build(header: Header, blocks: Iterable[Block]) -> bytes:
    """Return the bytes of a sealed HDF5 file that holds `header` and `blocks`."""
    with h5py.File(
        next(_names), "w", driver="core", backing_store=False, libver=LIBVER, track_order=True
    ) as file:
        fill(file, header, blocks)
        image = cast(bytes, file.id.get_file_image())
        return image + tail(BytesIO(image), large_columns(file))


def fill(file: h5py.File, header: Header, blocks: Iterable[Block]) -> None:
    """Write `header` and `blocks` into an empty file, one column at a time."""
    _write_attributes(file, header.attributes())
    file.flush()  # they get their place at the front, where a file cut off still has them
    for block in blocks:
        _write_table(file.create_group(block.table.name, track_order=True), block)
        file.flush()


def large_columns(file: h5py.File) -> list[Extent]:
    """Return where in the file the numbers of its large columns lie, in order."""
    found: list[Extent] = []

    def visit(_: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind != "O" and item.nbytes >= _LARGE:
            found.append((item.id.get_offset(), item.nbytes))

    file.visititems(visit)
    return sorted(found)


def read_header(file: h5py.File, source: str) -> Header:
    """Read the root attributes of an open file."""

    def attribute(name: str) -> Any:
        if name in INTEGERS:
            return int(_attribute(file, name, np.dtype(int)))
        texts = _attribute(file, name, _TEXT).tolist()
        return [text.decode() for text in texts] if isinstance(texts, list) else texts.decode()

    return from_attributes(attribute, source)


def table_names(group: h5py.Group, prefix: str = "") -> list[str]:
    """Return the names of all tables below `group`, in the order of their declaration."""
    names: list[str] = []
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            names += [prefix + name] if "step" in item else table_names(item, f"{prefix}{name}/")
    return names


def read_table(file: h5py.File, name: str, source: str) -> Table:
    """Read the declaration of a table."""
    group = file[name]
    scales = {axis: item for axis, item in group.items() if item.is_scale}
    attributes = {k: _plain(v) for k, v in group.attrs.items()}
    return Table(
        name,
        tuple(_read_column(item) for column, item in group.items() if column not in scales),
        {axis: read(group, axis, source).tolist() for axis in scales if axis != "step"},
        {k: v for k, v in attributes.items() if k not in _OWN_TABLE},
        tuple(attributes["key"]),
        cast(Literal["training", "evaluation"], attributes["kind"]),
    )


def read(group: h5py.Group, name: str, source: str) -> Array:
    """Read one column or axis and compare its checksum.

    Raises
    ------
    TrajlabError
        If the numbers are not those that were written.
    """
    item = group[name]
    (values,) = _verified(item, source, len(item))
    return values


def slices(group: h5py.Group, name: str, source: str) -> Iterator[Array]:
    """Read one column in portions; its checksum is compared after the last.

    Raises
    ------
    TrajlabError
        If the numbers are not those that were written.
    """
    item = group[name]
    row = item.dtype.itemsize * int(np.prod(item.shape[1:]))
    return _verified(item, source, max(1, _SLICE // max(1, row)))


def _verified(item: h5py.Dataset, source: str, rows: int) -> Iterator[Array]:
    """Yield `rows` rows at a time, at least one portion."""
    crc = 0
    for first in range(0, max(1, len(item)), max(1, rows)):
        selected = slice(first, first + rows) if rows < len(item) else ...
        text = h5py.check_string_dtype(item.dtype)
        values = item.asstr()[selected] if text else item[selected]
        crc = _crc32(values, crc, more=first > 0)
        yield values
    if crc != _attribute(item, "crc32", np.dtype(np.uint32)):
        raise TrajlabError(
            f"{source} is damaged: the checksum of {item.name} does not match; "
            f"restore it from a copy"
        )


def _write_table(group: h5py.Group, block: Block) -> None:
    table = block.table
    _write_attributes(group, {**table.attributes, "key": list(table.key), "kind": table.kind})
    scales = {}
    for axis in table.axes:
        if axis == "step":
            item = _write_array(group, axis, (block.length,), np.dtype(int), block.pieces[axis])
        else:
            labels = np.asarray(table.coordinates[axis])
            item = _write_array(group, axis, labels.shape, labels.dtype, [labels])
        scales[axis] = item
        item.make_scale(axis)
    for column in table.columns:
        shape = (block.length, *table.shape(column))
        item = _write_array(group, column.name, shape, column.storage, block.pieces[column.name])
        for dimension, axis in zip(item.dims, column.axes, strict=True):
            dimension.attach_scale(scales[axis])
        _write_attributes(
            item,
            {**column.attributes, "units": column.units, "description": column.description},
        )


def _write_array(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    pieces: Iterable[Array],
) -> h5py.Dataset:
    text = dtype.kind in "OU"
    item = group.create_dataset(name, shape, _TEXT if text else dtype)
    crc = first = 0
    for piece in pieces:
        if piece.size:
            values = np.ascontiguousarray(piece, object if text else dtype)
            item[first : first + len(values)] = values
            crc = _crc32(values, crc, more=first > 0)
            first += len(values)
    item.attrs["crc32"] = np.uint32(crc)
    return item


def _read_column(item: h5py.Dataset) -> Column:
    # the values of the others are references, which take long to read
    attributes = {k: _plain(item.attrs[k]) for k in item.attrs if k not in _STRUCTURE}
    return Column(
        item.name.rpartition("/")[2],
        tuple(dimension[0].name.rpartition("/")[2] for dimension in item.dims),
        "str" if h5py.check_string_dtype(item.dtype) else str(item.dtype),
        attributes["units"],
        attributes["description"],
        {k: v for k, v in attributes.items() if k not in _OWN_COLUMN},
    )


def _crc32(values: Array, crc: int = 0, *, more: bool = False) -> int:
    """Return the CRC-32 of an array's bytes, of texts with a NUL between each two."""
    if values.dtype == object:
        return zlib.crc32(("\0" * more + "\0".join(values.ravel().tolist())).encode(), crc)
    return zlib.crc32(np.ascontiguousarray(values).data, crc)


def _attribute(item: h5py.HLObject, name: str, dtype: np.dtype[Any]) -> Array:
    """Read an attribute of known type: a third of the time of ``item.attrs``."""
    attribute = h5py.h5a.open(item.id, name.encode())
    values = np.empty(attribute.shape, dtype)
    attribute.read(values)
    return values


def _write_attributes(item: h5py.HLObject, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        values = np.asarray(value)
        if values.ndim and (values.dtype.kind == "U" or not values.size):
            item.attrs.create(name, values.tolist(), shape=values.shape, dtype=_TEXT)
        else:
            item.attrs[name] = value


def _plain(value: Any) -> Any:
    """Turn an attribute as h5py reads it into plain Python."""
    if isinstance(value, h5py.Empty):
        return []
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
