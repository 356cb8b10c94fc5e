"""HDF5 images: a whole file built in memory, sealed by a checksum, and read back.

Nothing here opens a file for writing on disk. Layout: every table is a group; every axis is a
data set of that name in the table's own group, a dimension scale attached to each column that
uses it (xarray loses coordinates that lie at the root).
"""

import itertools
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from trajlab.errors import TrajlabError
from trajlab.store.header import Header, from_attributes
from trajlab.store.table import Column, Table

# Behind the HDF5 bytes, where HDF5 readers do not look: magic, length of the image, its CRC-32.
_TAIL = struct.Struct("<8sQI4x")
_MAGIC = b"\ntrajlab"
_TEXT = h5py.string_dtype()
_OWN_COLUMN = {"units", "description", "crc32"}
_STRUCTURE = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"}
_OWN_TABLE = {"key", "kind"}
# Two open images of one name are one file to HDF5.
_names = (f"trajlab-{os.getpid()}-{n}" for n in itertools.count())

Array = NDArray[Any]


@dataclass(frozen=True)
class Block:
    """Rows of one table: its declaration, and an array for ``step`` and each column."""

    table: Table
    rows: Mapping[str, Array]


def build(header: Header, blocks: Iterable[Block]) -> bytes:
    """Return the bytes of an HDF5 file that holds `header` and `blocks`."""
    with h5py.File(
        next(_names),
        "w",
        driver="core",
        backing_store=False,
        libver=("earliest", "v110"),
        track_order=True,
    ) as file:
        _write_attributes(file, header.attributes())
        for block in blocks:
            _write_table(file.create_group(block.table.name, track_order=True), block)
        file.flush()
        return cast(bytes, file.id.get_file_image())


def tail(image: bytes | memoryview) -> bytes:
    """Return the bytes that seal `image` when they follow it."""
    return _TAIL.pack(_MAGIC, len(image), zlib.crc32(image))


def sealed_length(end: bytes, size: int, source: str) -> int:
    """Return the image's length as the last bytes `end` of a file of `size` bytes say it.

    Raises
    ------
    TrajlabError
        If the file does not end as trajlab ends it.
    """
    if len(end) >= _TAIL.size:
        magic, length, _ = _TAIL.unpack(end[-_TAIL.size :])
        if magic == _MAGIC and length + _TAIL.size == size:
            return int(length)
    raise TrajlabError(
        f"{source} is not a trajectory file, or it is truncated: the checksum at its end is "
        f"missing; restore it from a copy"
    )


def verify(content: bytes, source: str) -> None:
    """Compare the checksum at the end of a file's `content`.

    Raises
    ------
    TrajlabError
        If a single bit differs from what was written.
    """
    length = sealed_length(content[-_TAIL.size :], len(content), source)
    if content[length:] != tail(memoryview(content)[:length]):
        raise TrajlabError(
            f"{source} is damaged: its checksum does not match; restore it from a copy"
        )


def read_header(file: h5py.File, source: str) -> Header:
    """Read the root attributes of an open file."""
    return from_attributes({name: _plain(value) for name, value in file.attrs.items()}, source)


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
    values = item.asstr()[...] if h5py.check_string_dtype(item.dtype) else item[...]
    if _crc32(values) != item.attrs["crc32"]:
        raise TrajlabError(
            f"{source} is damaged: the checksum of {item.name} does not match; "
            f"restore it from a copy"
        )
    return cast(Array, values)


def _write_table(group: h5py.Group, block: Block) -> None:
    table = block.table
    _write_attributes(group, {**table.attributes, "key": list(table.key), "kind": table.kind})
    scales = {}
    for axis in table.axes:
        labels = block.rows["step"] if axis == "step" else np.asarray(table.coordinates[axis])
        scales[axis] = _write_array(group, axis, labels)
        scales[axis].make_scale(axis)
    for column in table.columns:
        item = _write_array(group, column.name, block.rows[column.name])
        for dimension, axis in zip(item.dims, column.axes, strict=True):
            dimension.attach_scale(scales[axis])
        _write_attributes(
            item,
            {**column.attributes, "units": column.units, "description": column.description},
        )


def _write_array(group: h5py.Group, name: str, values: Array) -> h5py.Dataset:
    text = values.dtype.kind in "OU"
    values = np.ascontiguousarray(values, object if text else None)
    item = group.create_dataset(name, data=values, dtype=_TEXT if text else values.dtype)
    item.attrs["crc32"] = np.uint32(_crc32(values))
    return item


def _read_column(item: h5py.Dataset) -> Column:
    attributes = {k: _plain(v) for k, v in item.attrs.items() if k not in _STRUCTURE}
    return Column(
        item.name.rpartition("/")[2],
        tuple(dimension[0].name.rpartition("/")[2] for dimension in item.dims),
        "str" if h5py.check_string_dtype(item.dtype) else str(item.dtype),
        attributes["units"],
        attributes["description"],
        {k: v for k, v in attributes.items() if k not in _OWN_COLUMN},
    )


def _crc32(values: Array) -> int:
    if values.dtype == object:
        return zlib.crc32("\0".join(values.ravel().tolist()).encode())
    return zlib.crc32(np.ascontiguousarray(values).data)


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
