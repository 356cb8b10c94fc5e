"""Where the numbers of an HDF5 file lie, as the library finds them; run in a process of its own.

The library may crash, read for ever, or open other files on content that is not its own. So no
link but a hard one is followed, nothing is read but contiguous data sets without filters, and the
process that asks (`trajlab.store.hdf5.process`) sets limits.
"""

import os
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from trajlab.store import rows
from trajlab.store.header import INTEGERS, STATUSES
from trajlab.store.rows import Array

_TEXT = h5py.string_dtype()
_OWN_COLUMN = {"units", "description", "crc32"}
_STRUCTURE = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"}
_OWN_TABLE = {"key", "kind"}
_HEADER = (
    *("format", "format_version", "trajlab_version", "run_id", "created", "status"),
    *("tasks", "shared", "metadata", "provenance", "sessions", "last_part"),
)
_DEPTH = 16  # of groups in groups
_PORTION = 4 * 2**20  # bytes


class RefusedError(Exception):
    """Something in a file that no trajectory has."""


class Longer:
    """A file that ends with zeros where it should go on: HDF5 opens none that was cut off."""

    def __init__(self, file: Any, size: int) -> None:
        self._file, self._size, self._at = file, size, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as a file does."""
        self._at = offset + (self._size if whence == os.SEEK_END else 0)
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
        """Read, as a file does."""
        view = memoryview(buffer).cast("B")
        self._file.seek(self._at)
        count = self._file.readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        self._at += len(view)
        return len(view)

    def write(self, _: Any) -> int:
        """Refuse: nothing is ever written here."""
        raise OSError("open for reading")

    def flush(self) -> None:
        """Do nothing."""

    def truncate(self, _: int) -> None:
        """Do nothing."""


def index(path: str, *, lenient: bool) -> dict[str, Any]:
    """Return what `trajlab.store.seal` keeps in an index, read from the HDF5 file itself.

    Parameters
    ----------
    path
        The file, damaged or not.
    lenient
        Leave out what is damaged, having read it all, instead of raising an error.

    Returns
    -------
    dict
        ``header``, ``tables``, ``rows``; ``texts``, all text columns, which lie behind the end of
        the file as ``rows`` has it; ``lost``, a sentence for each thing left out; ``problems``, a
        sentence for each difference from the format.

    Raises
    ------
    Exception
        Whatever h5py makes of damage.
    """
    with open(path, "rb", buffering=0) as content:
        size = os.fstat(content.fileno()).st_size
        superblock = content.read(48).ljust(48, b"\0")
        length = int.from_bytes(superblock[40:48], "little")  # as it says itself
        with h5py.File(Longer(content, max(size, length)), "r") as file:
            return Index(file, size, lenient).facts()


class Index:
    """Reads an open file.

    Parameters
    ----------
    file
        The file.
    size
        Its length in bytes; texts are put behind it.
    lenient
        As `index`.
    """

    def __init__(self, file: h5py.File, size: int, lenient: bool) -> None:
        self._file, self._size, self._lenient = file, size, lenient
        self._texts = b""
        self._lost: list[str] = []
        self._problems: list[str] = []

    def facts(self) -> dict[str, Any]:
        """Return what `index` returns."""
        header = self._header()
        tables, placed = [], []
        for name in self._names(self._file, "", 0):
            try:
                table, length, places = self._table(name)
            except Exception as error:  # whatever h5py makes of damage
                if not self._lenient:
                    raise
                self._lost.append(f"table {name} is lost ({error})")
                continue
            tables.append(table)
            placed.append((name, length, places))
        return {
            "header": header,
            "tables": tables,
            "rows": placed,
            "texts": self._texts.decode(),
            "lost": self._lost,
            "problems": self._problems,
        }

    def _header(self) -> dict[str, Any]:
        header = {name: self._attribute(name) for name in _HEADER if name in self._file.attrs}
        if "problems" in self._file.attrs:
            header["problems"] = self._attribute("problems")
        if "status" in header and header["status"] not in STATUSES:
            self._problems.append(f"it has status {header['status']!r}")
        return header

    def _attribute(self, name: str) -> Any:
        value = _plain(self._file.attrs[name])
        if name in INTEGERS and type(value) is not int:
            raise RefusedError(f"its attribute {name} is no whole number")
        return value

    def _names(self, group: h5py.Group, prefix: str, depth: int) -> Iterator[str]:
        if depth > _DEPTH:
            raise RefusedError("its groups lie too deep in each other")
        for name in group:
            try:
                item = _item(group, name)
                if not isinstance(item, h5py.Group):
                    continue
                if "step" in item:
                    yield prefix + name
                else:
                    yield from self._names(item, f"{prefix}{name}/", depth + 1)
            except Exception as error:
                if not self._lenient:
                    raise
                self._lost.append(f"table {prefix}{name} is lost ({error})")

    def _table(self, name: str) -> tuple[dict[str, Any], int, dict[str, Any]]:
        group = self._file[name]
        length = len(_item(group, "step"))
        labels: dict[str, Any] = {}
        columns: list[dict[str, Any]] = []
        places: dict[str, Any] = {}
        where = f"table {name}"
        for label in group:
            try:
                item = _item(group, label)
                if not isinstance(item, h5py.Dataset):
                    self._problems.append(f"{where} holds a group {label}")
                elif label == "step":
                    self._scale_of_steps(item, where)
                    places[label] = self._place(item, where)
                elif item.is_scale:
                    labels[label] = self._labels(item)
                else:
                    self._axes(item, group, length, where)
                    places[label] = self._place(item, where)
                    columns.append(_column(item, label))
            except Exception as error:
                if not self._lenient:
                    raise
                self._lost.append(f"column {label} of {where} is lost ({error})")
        attributes = {k: _plain(v) for k, v in group.attrs.items()}
        lacking = [key for key in ("key", "kind") if key not in attributes]
        self._problems += [f"{where} lacks its attribute {key}" for key in lacking]
        known = {"step", *places}
        if not known.issuperset(attributes.get("key", [])) or "step" not in places:
            raise RefusedError("what tells its rows apart is gone")
        columns = [c for c in columns if set(c["axes"]) <= {"step", *labels}]
        kept = {"step", *(column["name"] for column in columns)}
        return (
            {
                "name": name,
                "columns": columns,
                "coordinates": labels,
                "attributes": {k: v for k, v in attributes.items() if k not in _OWN_TABLE},
                "key": attributes.get("key", ["step"]),
                "kind": attributes.get("kind", "training"),
            },
            length,
            {label: place for label, place in places.items() if label in kept},
        )

    def _scale_of_steps(self, item: h5py.Dataset, where: str) -> None:
        if item.dtype != np.int64 or not item.is_scale:
            self._problems.append(f"{where}: step is not a scale of 64-bit integers")

    def _axes(self, item: h5py.Dataset, group: h5py.Group, length: int, where: str) -> None:
        label = item.name.rpartition("/")[2]
        axes = [[scale.name.rpartition("/") for scale in d.values()] for d in item.dims]
        if any(len(a) != 1 or a[0][0] != group.name for a in axes) or axes[0][0][2] != "step":
            self._problems.append(f"{where}: the axes of {label} are not scales of the table")
            raise RefusedError("its axes are not those of the table")
        if len(item) != length:
            raise RefusedError(f"it has {len(item)} rows, not {length}")
        for fact in ("units", "description"):
            if fact not in item.attrs:
                self._problems.append(f"{where}: {label} lacks its attribute {fact}")

    def _place(self, item: h5py.Dataset, where: str) -> list[int]:
        """Return offset, size and CRC-32 of a data set; those of a text behind the file."""
        label = item.name.rpartition("/")[2]
        if "crc32" not in item.attrs:
            self._problems.append(f"{where}: {label} lacks its checksum")
            raise RefusedError("it has no checksum")
        crc = int(item.attrs["crc32"])
        if h5py.check_string_dtype(item.dtype):
            texts = "\0".join(item.asstr()[...].ravel().tolist()).encode()
            place = [self._size + len(self._texts), len(texts), crc]
            self._texts += texts
            found = rows.crc32(texts)
        else:
            size = item.dtype.itemsize * int(np.prod(item.shape, dtype=object))
            place = [(item.id.get_offset() or 0) if size else 0, size, crc]
            found = crc if not self._lenient else _checksum(item)
        if found != crc:
            raise RefusedError("its checksum does not match")
        return place

    def _labels(self, item: h5py.Dataset) -> list[Any]:
        text = h5py.check_string_dtype(item.dtype)
        values: Array = item.asstr()[...] if text else item[...]
        content = rows.encoded(values)
        if "crc32" in item.attrs and rows.crc32(content) != int(item.attrs["crc32"]):
            raise RefusedError("its checksum does not match")
        labels: list[Any] = values.tolist()
        return labels


def _item(group: h5py.Group, name: str) -> Any:
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


def _column(item: h5py.Dataset, name: str) -> dict[str, Any]:
    # the values of the others are references, which take long to read
    attributes = {k: _plain(item.attrs[k]) for k in item.attrs if k not in _STRUCTURE}
    return {
        "name": name,
        "axes": [dimension[0].name.rpartition("/")[2] for dimension in item.dims],
        "dtype": "str" if h5py.check_string_dtype(item.dtype) else str(item.dtype),
        "units": attributes.get("units", ""),
        "description": attributes.get("description", ""),
        "attributes": {k: v for k, v in attributes.items() if k not in _OWN_COLUMN},
    }


def _checksum(item: h5py.Dataset) -> int:
    row = item.dtype.itemsize * int(np.prod(item.shape[1:], dtype=object))
    count = max(1, _PORTION // max(1, row))
    crc = 0
    for first in range(0, len(item), count):
        crc = rows.crc32(np.ascontiguousarray(item[first : first + count]).data, crc)
    return crc


def _plain(value: Any) -> Any:
    """Turn an attribute as h5py reads it into plain Python."""
    if isinstance(value, h5py.Empty):
        return []
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
