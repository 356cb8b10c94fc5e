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
from trajlab.store.hdf5.disk import Longer
from trajlab.store.hdf5.member import RefusedError, checksum, column, member, plain
from trajlab.store.header import INTEGERS, STATUSES
from trajlab.store.rows import Array

_OWN_TABLE = {"key", "kind"}
_HEADER = (
    *("format", "format_version", "trajlab_version", "run_id", "created", "status"),
    *("tasks", "shared", "metadata", "provenance", "sessions", "last_part"),
)
_DEPTH = 16  # of groups in groups


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
        self._told = 0  # bytes of texts
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
        value = plain(self._file.attrs[name])
        if name in INTEGERS and type(value) is not int:
            raise RefusedError(f"its attribute {name} is no whole number")
        return value

    def _names(self, group: h5py.Group, prefix: str, depth: int) -> Iterator[str]:
        if depth > _DEPTH:
            raise RefusedError("its groups lie too deep in each other")
        for name in group:
            try:
                item = member(group, name)
                if not isinstance(item, h5py.Group):
                    raise RefusedError(f"{prefix}{name} lies outside of any table")
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
        length = len(member(group, "step"))
        labels: dict[str, Any] = {}
        columns: list[dict[str, Any]] = []
        places: dict[str, Any] = {}
        where = f"table {name}"
        for label in group:
            try:
                item = member(group, label)
                if not isinstance(item, h5py.Dataset):
                    raise RefusedError(f"{where} holds {label}, which is no data set")
                if label == "step":
                    self._scale_of_steps(item, where)
                    places[label] = self._place(item, where)
                elif item.is_scale:
                    labels[label] = self._labels(item)
                else:
                    self._axes(item, group, length, where)
                    places[label] = self._place(item, where)
                    columns.append(column(item, label))
            except Exception as error:
                if not self._lenient:
                    raise
                self._lost.append(f"column {label} of {where} is lost ({error})")
        attributes = {k: plain(v) for k, v in group.attrs.items()}
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
            texts = rows.encoded(self._read_texts(item))
            place = [self._size + len(self._texts), len(texts), crc]
            self._texts += texts
            actual = rows.crc32(texts)
        else:
            size = item.dtype.itemsize * int(np.prod(item.shape, dtype=object))
            place = [(item.id.get_offset() or 0) if size else 0, size, crc]
            actual = crc if not self._lenient else checksum(item)
        if actual != crc:
            raise RefusedError("its checksum does not match")
        return place

    def _read_texts(self, item: h5py.Dataset) -> Array:
        """Read texts, of which each takes room of its own in a file that h5py has written."""
        values: Array = item.asstr()[...]
        self._told += len(rows.encoded(values))
        if self._told > self._size:
            raise RefusedError("its texts are longer than the file")
        return values

    def _labels(self, item: h5py.Dataset) -> list[Any]:
        text = h5py.check_string_dtype(item.dtype)
        values: Array = self._read_texts(item) if text else item[...]
        content = rows.encoded(values)
        if "crc32" in item.attrs and rows.crc32(content) != int(item.attrs["crc32"]):
            raise RefusedError("its checksum does not match")
        labels: list[Any] = values.tolist()
        return labels
