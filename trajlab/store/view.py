"""One table of a run, read lazily across its files."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from trajlab.store.image import Array, Block, read, read_table, slices
from trajlab.store.snapshot import Snapshot, Source
from trajlab.store.table import AbsentError, Table


class View(Mapping[str, Array]):
    """A table as a mapping from column and axis names to arrays.

    Each access reads from disk and verifies the column's checksum: bind what you use twice. Rows
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
        # a merge has left out what was superseded, and every column is there
        self._sealed = [source.path for source in snapshot.sources] == [snapshot.path]

    def __getitem__(self, name: str) -> Array:
        if self._sealed:
            source = self._sources[0]
            with source.open() as file:
                group = file[self.name]
                if name in group:
                    return read(group, name, str(source.path))
        if name in self.declared.coordinates:
            return self._labels(name)
        return self._written([name])[name][self._kept]

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
        declared = self._declarations[0]
        for later in self._declarations[1:]:
            declared = declared.joined(later)
        return declared

    @property
    def attributes(self) -> dict[str, Any]:
        """Facts about all rows."""
        return dict(self.declared.attributes)

    def axes(self, column: str) -> tuple[str, ...]:
        """Return the names of a column's axes, in the order of its array's."""
        return (column,) if column in self.declared.axes else self.declared.column(column).axes

    def column_attributes(self, column: str) -> dict[str, Any]:
        """Return the facts beside a column, with its units and description."""
        declared = self.declared.column(column)
        own = {"units": declared.units, "description": declared.description}
        return {**own, **declared.attributes}

    @cached_property
    def _declarations(self) -> list[Table]:
        tables = []
        for source in self._sources:
            with source.open() as file:
                tables.append(read_table(file, self.name, str(source.path)))
        return tables

    def block(self) -> Block:
        """Return all rows that hold, read with one pass over the files."""
        written = self._written(self._stored)
        pieces = {name: [array[self._kept]] for name, array in written.items()}
        return Block(self.declared, int(self._mask.sum()), pieces)

    def stream(self) -> Block:
        """Return all rows that hold, to be read portion by portion when they are asked for."""
        pieces = {name: self._portions(name) for name in self._stored}
        return Block(self.declared, int(self._mask.sum()), pieces)

    def _portions(self, name: str) -> Iterator[Array]:
        first = 0
        for source in self._sources:
            with source.open() as file:
                group = file[self.name]
                # where the column is missing, its fill takes the place of the steps
                present = name in group
                for read_rows in slices(group, name if present else "step", str(source.path)):
                    values = (
                        self._widened(name, read_rows)
                        if present
                        else self._filled(name, len(read_rows))
                    )
                    yield values[self._mask[first : first + len(values)]]
                    first += len(values)

    @property
    def _stored(self) -> list[str]:
        return ["step", *(column.name for column in self.declared.columns)]

    @property
    def _kept(self) -> Array | slice:
        """Select the rows that hold, without a copy where all do."""
        return slice(None) if self._mask.all() else self._mask

    @cached_property
    def _mask(self) -> Array:
        """Which of the written rows hold."""
        keys = self._written(["step", *self.declared.key])
        limits = np.concatenate(
            [np.full(n, self._limit(s)) for s, n in zip(self._sources, self._lengths, strict=True)]
        )
        held = keys["step"] < limits
        # what was superseded takes no place of its own
        again = pd.DataFrame({**keys, "held": held}).duplicated(keep="last").to_numpy()
        mask: Array = held & ~again
        return mask

    @cached_property
    def _lengths(self) -> list[int]:
        lengths = []
        for source in self._sources:
            with source.open() as file:
                lengths.append(len(file[self.name]["step"]))
        return lengths

    def _rewinds(self, source: Source) -> list[int]:
        """Return the steps that sessions after that of `source` rewound to."""
        later = self._snapshot.header.sessions[len(source.header.sessions) :]
        return [session.rewind_to for session in later if session.rewind_to is not None]

    def _limit(self, source: Source) -> float:
        """Return the first step that later sessions superseded in `source`."""
        margin = 1 if self.declared.kind == "evaluation" else 0
        return min(self._rewinds(source), default=np.inf) + margin

    def _written(self, names: Sequence[str]) -> dict[str, Array]:
        """Return columns and ``step`` over all rows in the order of writing."""
        pieces: dict[str, list[Array]] = {name: [] for name in names}
        for source, length in zip(self._sources, self._lengths, strict=True):
            with source.open() as file:
                group = file[self.name]
                for name in pieces:
                    if name in group:
                        values = read(group, name, str(source.path))
                        pieces[name].append(self._widened(name, values))
                    else:
                        pieces[name].append(self._filled(name, length))
        return {name: np.concatenate(arrays) for name, arrays in pieces.items()}

    def _widened(self, name: str, values: Array) -> Array:
        """Return a column with all labels that later files have."""
        if name == "step":
            return values
        column = self.declared.column(name)
        widened: Array = column.widened(values, self.declared.shape(column))
        return widened

    def _filled(self, name: str, length: int) -> Array:
        column = self.declared.column(name)
        return np.full((length, *self.declared.shape(column)), column.fill, column.storage)

    def _labels(self, axis: str) -> Array:
        labels = np.asarray(self.declared.coordinates[axis])
        return labels.astype(object) if labels.dtype.kind == "U" else labels


def view(snapshot: Snapshot, name: str) -> View:
    """Return a table.

    Raises
    ------
    AbsentError
        If there is none of that name; the sentence names those there are.
    """
    if name not in snapshot.tables:
        raise AbsentError(
            f"{snapshot.path} has no table {name!r}; it has {', '.join(snapshot.tables) or 'none'}"
        )
    return View(snapshot, name)
