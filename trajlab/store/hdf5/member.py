"""One member of an HDF5 file, taken if it is as a trajectory's are."""

from typing import Any

import h5py
import numpy as np

from trajlab.store import rows

_STRUCTURE = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"}
_OWN_COLUMN = {"units", "description", "crc32"}
_PORTION = 4 * 2**20  # bytes


class RefusedError(Exception):
    """Something in a file that no trajectory has."""


def member(group: h5py.Group, name: str) -> Any:
    """Return a member of a group if it lies in this file, in one piece, as it is.

    Raises
    ------
    RefusedError
        If it is a link to elsewhere, or stored in another way than a trajectory's.
    """
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise RefusedError(f"{name} is a link to elsewhere")
    item = group[name]
    if isinstance(item, h5py.Dataset):
        stored = item.id.get_create_plist()
        if item.is_virtual or item.external or stored.get_layout() != h5py.h5d.CONTIGUOUS:
            raise RefusedError(f"{name} is not stored in one piece in this file")
        text = h5py.check_string_dtype(item.dtype)
        if text is None and (item.dtype.kind not in "biuf" or not item.dtype.isnative):
            raise RefusedError(f"{name} is of type {item.dtype}")
    return item


def column(item: h5py.Dataset, name: str) -> dict[str, Any]:
    """Return the declaration of a column."""
    # the values of the others are references, which take long to read
    attributes = {k: plain(item.attrs[k]) for k in item.attrs if k not in _STRUCTURE}
    return {
        "name": name,
        "axes": [dimension[0].name.rpartition("/")[2] for dimension in item.dims],
        "dtype": "str" if h5py.check_string_dtype(item.dtype) else str(item.dtype),
        "units": attributes.get("units", ""),
        "description": attributes.get("description", ""),
        "attributes": {k: v for k, v in attributes.items() if k not in _OWN_COLUMN},
    }


def checksum(item: h5py.Dataset) -> int:
    """Return the CRC-32 of its numbers, read some rows at a time."""
    row = item.dtype.itemsize * int(np.prod(item.shape[1:], dtype=object))
    count = max(1, _PORTION // max(1, row))
    crc = 0
    for first in range(0, len(item), count):
        crc = rows.crc32(np.ascontiguousarray(item[first : first + count]).data, crc)
    return crc


def plain(value: Any) -> Any:
    """Turn an attribute as h5py reads it into plain Python."""
    if isinstance(value, h5py.Empty):
        return []
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
