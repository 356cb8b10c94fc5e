"""One table of a run, read lazily across its files."""

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from trajlab.store import rows
from trajlab.store.pool import require_memory
from trajlab.store.rows import Array, Block, Stored
from trajlab.store.snapshot import Snapshot
from trajlab.store.source import PORTION, Source
from trajlab.store.table import AbsentError, Table

_WHOLE = 2**62  # bytes of a portion that is the whole column


class View(Mapping[str, Array]):
    """A table as a mapping from column and axis names to arrays.

    Each access reads that column from disk and verifies its checksum: bind what you use twice. Rows
    that a resumed run superseded, and rows whose key was written again, are left out.

    Parameters
    ----------
    snapshot
        The files to read.
    name
        A table in ``snapshot.tables``.
    """

    def __init__(self, snapshot: Snapshot, name: str) -> None:
        self.name = name
        self._snapshot = snapshot
        self._sources = [source for source in snapshot.sources if name in source.tables]
        self._blocks = [(s, block) for s in self._sources for block in s.stored.get(name, ())]
        # a merge has left out what was superseded
        self._sealed = [source.path for source in snapshot.sources] == [snapshot.path]

    def __getitem__(self, name: str) -> Array:
        if name in self.declared.coordinates:
            labels = np.asarray(self.declared.coordinates[name])
            return labels.astype(object) if labels.dtype.kind == "U" else labels
        if len(self._blocks) == 1:  # read it to where it stays
            pieces = list(self.portions(name, _WHOLE))
            return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        column = rows.column(self.declared, name)
        shape = (self.length, *rows.row_shape(self.declared, name))
        require_memory(
            math.prod(shape) * column.storage.itemsize,
            f"column {name} of table {self.name} in {self._snapshot.path}",
        )
        values = np.empty(shape, column.storage)
        first = 0
        for piece in self.portions(name):
            values[first : first + len(piece)] = piece
            first += len(piece)
        return values

    def __iter__(self) -> Iterator[str]:
        yield from self.declared.axes
        yield from (column.name for column in self.declared.columns)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __repr__(self) -> str:
        columns = (f"{c.name} ({', '.join(c.axes)})" for c in self.declared.columns)
        return f"Table {self.name} of {self._snapshot.path}: {', '.join(columns)}"

    @cached_property
    def declared(self) -> Table:
        """The table's declaration, joined over the files."""
        declared, *others = [source.tables[self.name] for source in self._sources]
        for later in others:
            declared = declared.joined(later)
        return declared

    @property
    def attributes(self) -> dict[str, Any]:
        """Facts about all rows."""
        return dict(self.declared.attributes)

    @property
    def length(self) -> int:
        """The number of rows."""
        return self._written if self._mask is None else int(self._mask.sum())

    def axes(self, column: str) -> tuple[str, ...]:
        """Return the names of a column's axes, in the order of its array's."""
        return (column,) if column in self.declared.axes else self.declared.column(column).axes

    def column_attributes(self, column: str) -> dict[str, Any]:
        """Return the facts beside a column, with its units and description."""
        declared = self.declared.column(column)
        facts = {"units": declared.units, "description": declared.description}
        return {**facts, **declared.attributes}

    def portions(self, name: str, size: int = PORTION) -> Iterator[Array]:
        """Yield a column, or ``step``, some rows at a time, so that it need not fit into memory.

        Parameters
        ----------
        name
            The column.
        size
            Bytes of a portion, about.

        Raises
        ------
        AbsentError
            If there is no such column.
        TrajlabError
            If it is damaged; its checksum is compared before the last portion is given.
        """
        waiting: list[Array] = []  # flushes are small
        held = 0
        for values in self._held(name, size):
            if held and held + values.nbytes > size:
                yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
                waiting, held = [], 0
            waiting.append(values)
            held += values.nbytes
        if waiting:
            yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
        elif not self._blocks:
            yield self._filled(name, 0)

    def thinned(self, name: str, every: int) -> Iterator[Array]:
        """Yield the first and every so many-th row after it of a column, portion by portion.

        Raises
        ------
        AbsentError, TrajlabError
            As `portions`.
        """
        first = 0
        for values in self.portions(name):
            yield values[-first % every :: every].copy()  # a view would keep all that was read
            first += len(values)

    def at(self, name: str, chosen: Array) -> Array:
        """Read some rows of a column of numbers alone; its checksum is not compared.

        Parameters
        ----------
        name
            The column.
        chosen
            Their places among the rows that hold, in any order.

        Raises
        ------
        AbsentError
            If there is no such column.
        """
        column, shape = rows.column(self.declared, name), rows.row_shape(self.declared, name)
        places = chosen if self._mask is None else np.flatnonzero(self._mask)[chosen]
        ends = np.cumsum([block.length for _, block in self._blocks])
        which = np.searchsorted(ends, places, side="right")
        values = self._filled(name, len(places))
        if not len(places):
            return values
        apart = np.flatnonzero((np.diff(places) != 1) | (np.diff(which) != 0)) + 1
        for first, last in zip([0, *apart], [*apart, len(places)], strict=True):
            source, block = self._blocks[which[first]]
            if name in block.extents:
                place = int(places[first] - ends[which[first]]) + block.length
                stored = source.values(block, name, place, int(last - first))
                values[first:last] = column.widened(stored, shape)
        return values

    def block(self) -> Block:
        """Return all rows that hold, to be read portion by portion when they are asked for."""
        stored = ["step", *(column.name for column in self.declared.columns)]
        return Block(self.declared, self.length, {name: self.portions(name) for name in stored})

    def _held(self, name: str, size: int) -> Iterator[Array]:
        """Yield the rows of a column that hold, piece by piece."""
        mask = self._mask
        first = 0
        for values in self._pieces(name, size):
            yield values if mask is None else values[mask[first : first + len(values)]]
            first += len(values)

    def _pieces(self, name: str, size: int) -> Iterator[Array]:
        """Yield a column over all rows in the order of writing."""
        rows.column(self.declared, name)  # says which columns there are
        for source, block in self._blocks:
            if name in block.extents:
                column = rows.column(self.declared, name)
                shape = rows.row_shape(self.declared, name)
                for values in source.portions(block, name, size):
                    yield column.widened(values, shape)  # a later file may have more layers
            else:
                yield from self._missing(block, name, size)

    def _missing(self, block: Stored, name: str, size: int) -> Iterator[Array]:
        count = rows.count(self.declared, name, size)
        for first in range(0, block.length, count):
            yield self._filled(name, min(count, block.length - first))

    def _filled(self, name: str, length: int) -> Array:
        column = rows.column(self.declared, name)
        shape = rows.row_shape(self.declared, name)
        return np.full((length, *shape), column.fill, column.storage)

    @property
    def _written(self) -> int:
        return sum(block.length for _, block in self._blocks)

    @cached_property
    def _mask(self) -> Array | None:
        """Which of the written rows hold; None where all do."""
        if self._sealed or not self._blocks:
            return None
        keys = {
            name: np.concatenate(list(self._pieces(name, _WHOLE)))
            for name in dict.fromkeys(["step", *self.declared.key])
        }
        steps = keys["step"]
        limits = np.concatenate(
            [np.full(block.length, self._limit(source)) for source, block in self._blocks]
        )
        held: Array = steps < limits
        if held.all() and (np.diff(steps) > 0).all():
            return None
        import pandas as pd  # takes long to import, and is seldom needed here

        # what was superseded takes no place of its own
        held &= ~pd.DataFrame({**keys, "held": held}).duplicated(keep="last").to_numpy()
        return None if held.all() else held

    def _limit(self, source: Source) -> float:
        """Return the first step that later sessions superseded in `source`."""
        later = self._snapshot.header.sessions[len(source.header.sessions) :]
        rewinds = [session.rewind_to for session in later if session.rewind_to is not None]
        margin = 1 if self.declared.kind == "evaluation" else 0
        return min(rewinds, default=np.inf) + margin


def view(snapshot: Snapshot, name: str) -> View:
    """Return a table.

    Raises
    ------
    AbsentError
        If there is none of that name; the sentence names those there are.
    """
    if not snapshot.holds(name):
        raise AbsentError(
            f"{snapshot.path} has no table {name!r}; it has {', '.join(snapshot.tables) or 'none'}"
        )
    return View(snapshot, name)
