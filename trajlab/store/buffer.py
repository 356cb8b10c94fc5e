"""Rows in memory, waiting to be written."""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.store.rows import Array
from trajlab.store.table import Column, Table, text

_Convert = Callable[[Any], Any]


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
        self.rows: list[dict[str, Any]] = []
        self.declare(table)
        self.changed = not written

    def declare(self, table: Table) -> None:
        """Take over a declaration that agrees with the one before; missing columns stay empty."""
        self._shapes = {column.name: table.shape(column) for column in table.columns}
        self._converters: dict[str, _Convert] = {"step": _step}
        for column in table.columns:
            shape = self._shapes[column.name]
            self._converters[column.name] = _converter(table, column, shape)
            for row in self.rows:
                if column.name in row and shape:
                    row[column.name] = column.widened(row[column.name][None], shape)[0]
        self.row_bytes = sum(8 * int(np.prod(shape)) for shape in self._shapes.values()) + 8
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
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                if name not in self._converters:
                    self.table.column(name)  # says which columns there are
                raise TrajlabError(
                    f"column {name} of table {self.table.name} cannot hold {value!r}: {error}"
                ) from error
        self.rows.append(converted)

    def arrays(self, count: int) -> dict[str, Array]:
        """Return the first `count` rows as arrays, but for columns that none of them has."""
        rows = self.rows[:count]
        present = set().union(*rows)
        arrays: dict[str, Array] = {"step": np.array([row["step"] for row in rows], np.int64)}
        for column in self.table.columns:
            if column.name in present:
                arrays[column.name] = self._array(column, rows)
        return arrays

    def _array(self, column: Column, rows: list[dict[str, Any]]) -> Array:
        """Return one column, filled where a row lacks it."""
        name, shape = column.name, self._shapes[column.name]
        held = [row[name] for row in rows if name in row]
        values = np.array(held, column.storage).reshape(len(held), *shape)
        if len(held) == len(rows):
            return values
        filled = np.full((len(rows), *shape), column.fill, column.storage)
        filled[[name in row for row in rows]] = values
        return filled


def _step(value: Any) -> int:
    step = operator.index(value)
    if not 0 <= step < 2**63:
        raise ValueError("a step is a number of updates: 0 or more")
    return step


def _converter(table: Table, column: Column, shape: tuple[int, ...]) -> _Convert:
    """Return what copies and checks one value of `column`."""
    if not shape:
        return _scalar(column)

    def convert(value: Any) -> Array:
        array = _cast(np.asarray(value), column)
        if array.shape != shape:
            axes = ", ".join(f"{a}: {n}" for a, n in zip(column.axes[1:], shape, strict=True))
            raise ValueError(f"its shape must be ({axes}), not {array.shape}")
        return array

    return convert


def _cast(given: Array, column: Column) -> Array:
    """Copy an array to the type of a column, unless that changes its numbers."""
    kind = column.storage.kind
    if kind == "O":
        array = np.array(given, object)
        for item in array.flat:
            text(item)
        return array
    if given.dtype == column.storage:
        return np.array(given)
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
    kind = column.storage.kind
    if kind in "iu":
        held = np.iinfo(column.storage)

        def whole(value: Any) -> int:
            number = operator.index(value)
            if not held.min <= number <= held.max:
                raise ValueError(f"{column.dtype} ends at {held.min} and {held.max}")
            return number

        return whole
    if column.dtype == "float32":
        largest = float(np.finfo(np.float32).max)

        def single(value: Any) -> float:
            number = float(value)
            if largest < abs(number) < math.inf:
                raise ValueError("it is too large for float32")
            return number

        return single
    return _SCALARS[kind]


_SCALARS: dict[str, _Convert] = {"f": float, "b": bool, "O": text}
