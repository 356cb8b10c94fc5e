"""One readable file of a run: what it says of the run, and where its rows lie."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trajlab.store import rows
from trajlab.store.header import Header
from trajlab.store.pool import File
from trajlab.store.rows import Array, Extent, Stored
from trajlab.store.table import Table

PORTION = 8 * 2**20  # bytes of a column that are held at a time where it is read in portions


@dataclass(frozen=True, eq=False)
class Source:
    """A log, or a sealed file.

    Parameters
    ----------
    file
        Where the bytes lie.
    header
        What it says of its run.
    tables
        The declarations that hold, in the order in which they were made.
    stored
        Rows by table, in the order of writing.
    problems
        A sentence for each damage that was read over.
    texts
        What format version 1 keeps where bytes cannot be pointed to: texts, behind the end of
        the file.
    """

    file: File
    header: Header
    tables: Mapping[str, Table]
    stored: Mapping[str, Sequence[Stored]]
    problems: tuple[str, ...] = ()
    texts: bytes = b""

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.file.path

    def length(self, table: str) -> int:
        """Return the number of rows of a table."""
        return sum(block.length for block in self.stored.get(table, ()))

    def portions(self, block: Stored, name: str, size: int = PORTION) -> Iterator[Array]:
        """Yield the values of a column, some rows at a time.

        The checksum is compared before the last portion is given.

        Raises
        ------
        TrajlabError
            If they are not those that were written.
        """
        kind = rows.column(block.table, name)
        shape = rows.row_shape(block.table, name)
        extent = block.extents[name]
        where = f"column {name} of table {block.table.name}"
        if kind.dtype == "str":
            texts = self._texts(extent, where)
            yield from rows.text_portions(texts, block.length, shape, f"{self.path}, {where}")
            return
        row = kind.storage.itemsize * math.prod(shape)
        count = rows.count(block.table, name, size)
        crc = 0
        for first in range(0, max(1, block.length), count):
            taken = min(count, block.length - first)
            content = self.file.read(extent.offset + first * row, taken * row)
            crc = rows.crc32(content.data, crc)
            if first + taken == block.length:
                self.file.compare(crc, extent, where)
            yield rows.numbers(content, kind, (taken, *shape), f"{self.path}, {where}")

    def values(self, block: Stored, name: str, first: int, length: int) -> Array:
        """Return some rows of a column of numbers; its checksum, of all rows, is not compared.

        Raises
        ------
        TrajlabError
            If they are not there.
        """
        kind = rows.column(block.table, name)
        shape = rows.row_shape(block.table, name)
        row = kind.storage.itemsize * math.prod(shape)
        content = self.file.read(block.extents[name].offset + first * row, length * row)
        where = f"{self.path}, column {name} of table {block.table.name}"
        return rows.numbers(content, kind, (length, *shape), where)

    def _texts(self, extent: Extent, where: str) -> bytes:
        if extent.offset < self.file.size or not extent.size:
            return self.file.verified(extent, where).tobytes()
        first = extent.offset - self.file.size
        content = self.texts[first : first + extent.size]
        self.file.compare(rows.crc32(content), extent, where)
        return content
