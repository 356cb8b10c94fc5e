"""Rows in memory, waiting to be written."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.store.image import Array, Block
from trajlab.store.table import Column, Table, text

_Convert = Callable[[Any], Any]


class Buffer:
    """The unwritten rows of one table.

    Parameters
    ----------
    table
        Its declaration.
    """

    def __init__(self, table: Table) -> None:
        self.rows: list[dict[str, Any]] = []
        self.changed = True
        self.declare(table)

    def declare(self, table: Table) -> None:
        """Take over a declaration that agrees with the one before; missing columns stay empty."""
        shapes = {column.name: table.shape(column) for column in table.columns}
        self._converters: dict[str, _Convert] = {"step": operator.index}
        for column in table.columns:
            self._converters[column.name] = _converter(table, column, shapes[column.name])
        self.row_bytes = sum(8 * int(np.prod(shape)) for shape in shapes.values()) + 8
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
            except (KeyError, TypeError, ValueError) as error:
                if name not in self._converters:
                    self.table.column(name)  # says which columns there are
                raise TrajlabError(
                    f"column {name} of table {self.table.name} cannot hold {value!r}: {error}"
                ) from error
        self.rows.append(converted)

    def block(self, count: int) -> Block:
        """Return the first `count` rows as arrays."""
        rows = self.rows[:count]
        arrays: dict[str, Array] = {"step": np.array([row["step"] for row in rows], np.int64)}
        for column in self.table.columns:
            shape = self.table.shape(column)
            array = np.full((count, *shape), column.fill, column.storage)
            for i, row in enumerate(rows):
                if column.name in row:
                    array[i] = column.widened(np.asarray(row[column.name])[None], shape)[0]
            arrays[column.name] = array
        return Block(self.table, count, {name: [array] for name, array in arrays.items()})


def _converter(table: Table, column: Column, shape: tuple[int, ...]) -> _Convert:
    """Return what copies and checks one value of `column`."""
    if not shape:
        return _SCALARS[column.storage.kind]

    def convert(value: Any) -> Array:
        array = np.array(value, column.storage)
        if array.shape != shape:
            axes = ", ".join(f"{a}: {n}" for a, n in zip(column.axes[1:], shape, strict=True))
            raise ValueError(f"its shape must be ({axes}), not {array.shape}")
        if array.dtype == object:
            for item in array.flat:
                text(item)
        return array

    return convert


_SCALARS: dict[str, _Convert] = {
    "f": float,
    "i": operator.index,
    "u": operator.index,
    "b": bool,
    "O": text,
}
