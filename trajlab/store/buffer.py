"""Rows in memory, waiting to be written: already as the bytes that they will be on disk."""

import math
import operator
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.store.rows import Array, encoded
from trajlab.store.table import Column, Table, text

_PACKED = {  # one value, as `encoded` has it
    "float64": "<d",
    "float32": "<f",
    "int64": "<q",
    "int32": "<i",
    "uint8": "<B",
    "uint16": "<H",
    "bool": "<?",
}


class Buffer:
    """The unwritten rows of one table.

    Parameters
    ----------
    table
        Its declaration.
    written
        Whether a file has the declaration already.
    """

    def __init__(self, table: Table, *, written: bool = False) -> None:
        self.rows: list[dict[str, bytes]] = []
        self.declare(table)
        self.changed = not written

    def declare(self, table: Table) -> None:
        """Take over a declaration that agrees with the one before; missing columns stay empty."""
        if self.rows:
            self._widen(table)
        self._converters: dict[str, _Convert] = {"step": _step}
        self._fills = {}
        self._between = {"step": b""}
        self.row_bytes = 8
        for column in table.columns:
            shape = table.shape(column)
            self._converters[column.name] = _converter(table, column, shape)
            self._fills[column.name] = encoded(np.full(shape, column.fill, column.storage))
            many = column.dtype == "str" and math.prod(shape) > 0
            self._between[column.name] = b"\0" if many else b""
            self.row_bytes += 8 * math.prod(shape)
        self.table = table
        self.changed = True

    def append(self, row: Mapping[str, Any]) -> None:
        """Copy a row in.

        Raises
        ------
        TrajlabError
            If it has no step, an unknown column, or a value that does not fit its column.
        """
        if "step" not in row:
            raise TrajlabError(f"a row of table {self.table.name} lacks its step")
        converted = {}
        for name, value in row.items():
            try:
                converted[name] = self._converters[name](value)
            except Exception as error:  # whatever a value raises when it is looked at
                if name not in self._converters:
                    self.table.column(name)  # says which columns there are
                raise TrajlabError(
                    f"column {name} of table {self.table.name} cannot hold {_shown(value)}: {error}"
                ) from error
        self.rows.append(converted)

    def columns(self, count: int) -> dict[str, bytes]:
        """Return the first `count` rows by column, but for columns that none of them has."""
        rows = self.rows[:count]
        present = set().union(*rows)
        columns = {"step": b"".join([row["step"] for row in rows])}
        for name, fill in self._fills.items():
            if name in present:
                columns[name] = self._between[name].join([row.get(name, fill) for row in rows])
        return columns

    def _widen(self, table: Table) -> None:
        """Let rows have the labels that axes have gained."""
        for column in self.table.columns:
            before, shape = self.table.shape(column), table.shape(column)
            if before == shape:
                continue
            for row in self.rows:
                if column.name in row:
                    values = _decoded(row[column.name], column, before)
                    row[column.name] = encoded(column.widened(values[None], shape)[0])


def _shown(value: Any) -> str:
    """Say what a value is; one that cannot say it itself is no reason to end a training."""
    try:
        return repr(value)
    except Exception:
        return f"a {type(value).__name__}"


def _decoded(content: bytes, column: Column, shape: tuple[int, ...]) -> Array:
    if column.dtype == "str":
        return np.array(content.decode().split("\0"), object)[: math.prod(shape)].reshape(shape)
    return np.frombuffer(content, column.storage).reshape(shape)


_Convert = Callable[[Any], bytes]
_packed_step = struct.Struct("<q").pack


def _step(value: Any) -> bytes:
    step = operator.index(value)
    if not 0 <= step < 2**63:
        raise ValueError("a step is a number of updates: 0 or more")
    return _packed_step(step)


def _converter(table: Table, column: Column, shape: tuple[int, ...]) -> _Convert:
    """Return what checks one value of `column` and makes bytes of it."""
    if not shape:
        return _scalar(column)

    def convert(value: Any) -> bytes:
        # of a text and a number NumPy would make two texts
        array = _cast(np.asarray(value, object if column.dtype == "str" else None), column)
        if array.shape != shape:
            axes = ", ".join(f"{a}: {n}" for a, n in zip(column.axes[1:], shape, strict=True))
            raise ValueError(f"its shape must be ({axes}), not {array.shape}")
        return encoded(array)

    return convert


def _cast(given: Array, column: Column) -> Array:
    """Return an array in the type of a column, unless that changes its numbers."""
    kind = column.storage.kind
    if kind == "O":
        for item in given.flat:
            text(item)
        return given
    if given.dtype == column.storage:
        return given
    if kind == "b" and not np.isin(given, (0, 1)).all():
        raise ValueError("flags are true or false")
    # of a list that holds None too, NumPy would read the numbers that texts spell
    texts = given.dtype.kind == "O" and any(isinstance(item, str | bytes) for item in given.flat)
    if texts or given.dtype.kind not in "biufO":
        raise ValueError("it must be numbers")
    whole = given.dtype.kind in "biu" and not _beyond(given, column)
    if kind in "iu" and given.size and not whole:
        raise ValueError(f"it must be whole numbers that {column.dtype} can hold")
    with np.errstate(over="ignore"):
        array = np.array(given, column.storage)
    if kind == "f" and given.dtype.itemsize > array.dtype.itemsize:
        lost = np.isinf(array) & np.isfinite(np.asarray(given, np.float64))
        if lost.any():
            raise ValueError(f"it is too large for {column.dtype}")
    return array


def _beyond(given: Array, column: Column) -> bool:
    if column.storage.kind not in "iu" or given.dtype.kind == "b" or not given.size:
        return False
    held = np.iinfo(column.storage)
    return int(given.min()) < held.min or int(given.max()) > held.max


def _scalar(column: Column) -> _Convert:
    if column.dtype == "str":
        return lambda value: text(value).encode()
    check, pack = _check(column), struct.Struct(_PACKED[column.dtype]).pack
    return lambda value: pack(check(value))


def _check(column: Column) -> Callable[[Any], Any]:
    """Return what refuses a number that the column cannot hold."""
    kind = column.storage.kind
    if kind in "iu":
        held = np.iinfo(column.storage)
        least, most = int(held.min), int(held.max)

        def whole(value: Any) -> int:
            number = operator.index(value)
            if not least <= number <= most:
                raise ValueError(f"{column.dtype} ends at {least} and {most}")
            return number

        return whole
    if column.dtype == "float32":
        largest = float(np.finfo(np.float32).max)

        def single(value: Any) -> float:
            number = _number(value)
            if largest < abs(number) < math.inf:
                raise ValueError("it is too large for float32")
            return number

        return single
    return _flag if kind == "b" else _number


def _number(value: Any) -> float:
    if isinstance(value, str | bytes):
        raise TypeError("it must be a number")
    return float(value)


def _flag(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError("a flag is true or false")
    return bool(value)
