"""Rows of a table: as arrays on their way to a file, and as places in a file.

A file says in JSON what its tables are and where the bytes of each column lie::

    tables   the declarations: name, columns, coordinates, attributes, key, kind
    rows     [table, number of rows, {column: [offset, size, CRC-32]}], in the order of writing

Numbers lie as little-endian bytes in C order, flags as one byte 0 or 1, texts as UTF-8 with a NUL
between each two. A column that no row has is left out. The JSON may come from anybody: nothing
is taken from it that does not agree with itself and with the size of the file.
"""

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trajlab.errors import TrajlabError
from trajlab.store.header import plain
from trajlab.store.table import Column, Table

Array = NDArray[Any]

MOST_ROWS = 2**40
MOST_TABLES = 1000  # of a run; of columns a table. Each takes milliseconds to write
_TEXTS = 100_000  # held at a time where a column is read in portions
_STEP = Column("step", ("step",), "int64")
_TABLE = {each.name for each in fields(Table)}
_COLUMN = {each.name for each in fields(Column)}


@dataclass(frozen=True)
class Block:
    """Rows of one table as arrays.

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


class Extent(NamedTuple):
    """Where the bytes of a column lie in a file, and their CRC-32."""

    offset: int
    size: int
    crc: int


@dataclass(frozen=True)
class Stored:
    """Rows of one table as places in a file.

    Parameters
    ----------
    table
        The declaration that they were written under.
    length
        The number of rows.
    extents
        For ``step`` and the columns that were written.
    """

    table: Table
    length: int
    extents: Mapping[str, Extent]


def column(table: Table, name: str) -> Column:
    """Return the column called `name`, or that of the steps."""
    return _STEP if name == "step" else table.column(name)


def row_shape(table: Table, name: str) -> tuple[int, ...]:
    """Shape of one row of a column, () of ``step``."""
    return table.shape(column(table, name))


def count(table: Table, name: str, size: int) -> int:
    """Return how many rows of a column take about `size` bytes of memory, at least one."""
    row = column(table, name).storage.itemsize * math.prod(row_shape(table, name))
    return max(1, size // max(1, row))


def encoded(values: Array) -> bytes:
    """Return the bytes of a column as they are stored."""
    if values.dtype.kind in "OU":
        return "\0".join(values.ravel().tolist()).encode()
    return values.tobytes()


def numbers(content: Array, kind: Column, shape: tuple[int, ...], source: str) -> Array:
    """Return numbers or flags from their bytes (uint8).

    Raises
    ------
    TrajlabError
        If flags are neither 0 nor 1.
    """
    if kind.dtype == "bool" and content.max(initial=0) > 1:
        raise TrajlabError(f"{source} is damaged: it holds bytes that are no flags")
    return content.view(kind.storage).reshape(shape)


def text_portions(
    content: bytes, length: int, shape: tuple[int, ...], source: str
) -> Iterator[Array]:
    """Yield texts from their bytes, some rows at a time, as arrays of objects.

    Raises
    ------
    TrajlabError
        If they are not as many texts in UTF-8.
    """
    each = math.prod(shape)
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == 0)
    if len(ends) + 1 != length * each and (content or length * each):
        raise TrajlabError(f"{source} is damaged: it holds another number of texts")
    bounds = [-1, *ends.tolist(), len(content)]
    count = max(1, _TEXTS // max(1, each))
    for first in range(0, max(1, length), count):
        taken = min(count, length - first)
        array = np.empty(taken * each, object)
        if array.size:
            begin, end = bounds[first * each] + 1, bounds[(first + taken) * each]
            try:
                array[:] = content[begin:end].decode().split("\0")
            except UnicodeDecodeError as error:
                raise TrajlabError(f"{source} is damaged: it is no text") from error
        yield array.reshape(taken, *shape)


def described(tables: Iterable[Table]) -> list[dict[str, Any]]:
    """Return declarations as JSON keeps them."""
    return [plain(asdict(table)) for table in tables]


def declared(facts: Any) -> Table:
    """Undo `described`, for one declaration from anybody.

    Raises
    ------
    TrajlabError, TypeError, KeyError
        If it is none.
    """
    if facts.keys() != _TABLE or any(one.keys() != _COLUMN for one in facts["columns"]):
        raise TrajlabError("a declaration says too little or too much of a table")
    columns = tuple(Column(**{**one, "axes": tuple(one["axes"])}) for one in facts["columns"])
    table = Table(**{**facts, "columns": columns, "key": tuple(facts["key"])})
    for one in columns:
        table.shape(one)
    require_few(1, table)
    known = {"step", *(one.name for one in columns)}
    if table.kind not in ("training", "evaluation") or not known.issuperset(table.key):
        raise TrajlabError(f"table {table.name} has a kind or key that there is not")
    return table


def require_few(tables: int, table: Table) -> None:
    """Refuse so many tables or columns that a file of them takes minutes.

    Raises
    ------
    TrajlabError
        If a run has too many tables, or `table` too many columns.
    """
    if max(tables, len(table.columns)) > MOST_TABLES:
        raise TrajlabError(
            f"with table {table.name} there are {tables} tables, and in it {len(table.columns)} "
            f"columns; keep both below {MOST_TABLES}: put what is alike along an axis"
        )


def located(facts: Sequence[Any], tables: Mapping[str, Table], base: int, limit: int) -> Stored:
    """Return one entry of ``rows`` from anybody.

    Parameters
    ----------
    facts
        Table, number of rows, and extents by column.
    tables
        The declarations that hold.
    base
        Added to each offset.
    limit
        Where the bytes must end.

    Raises
    ------
    TrajlabError, TypeError, ValueError, KeyError
        If it contradicts the declaration or points elsewhere.
    """
    name, length, places = facts
    table = tables[name]
    extents = {}
    for key, (offset, size, crc) in places.items():
        kind = column(table, key)
        whole = kind.dtype == "str" or size == length * math.prod(table.shape(kind)) * (
            kind.storage.itemsize
        )
        numbers = all(type(number) is int for number in (length, offset, size, crc))
        if not numbers or not whole or not 0 <= offset <= offset + size <= limit - base:
            raise TrajlabError(f"column {key} of table {name} lies where it cannot")
        extents[key] = Extent(base + offset, size, crc)
    if "step" not in extents or not 0 <= length <= MOST_ROWS:
        raise TrajlabError(f"table {name} has rows without steps")
    return Stored(table, length, extents)


def crc32(content: Any, crc: int = 0) -> int:
    """Return the CRC-32 of bytes, going on from `crc`."""
    return zlib.crc32(content, crc)
