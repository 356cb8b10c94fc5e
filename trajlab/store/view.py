"""One table of a run, read lazily across its files."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from trajlab.errors import TrajlabError
from trajlab.store.image import Array, read, read_table
from trajlab.store.schema import Table
from trajlab.store.snapshot import Snapshot, Source


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
        self._snapshot = snapshot
        self._sources = [source for source in snapshot.sources if name in source.tables]
        self._declared: list[Table] = []
        for source in self._sources:
            with source.open() as file:
                self._declared.append(read_table(file, name, str(source.path)))
        declared = self._declared[0]
        for later in self._declared[1:]:
            declared = declared.joined(later)
        self.declared = declared

    def __getitem__(self, name: str) -> Array:
        if name in self.declared.coordinates:
            return np.asarray(self.declared.coordinates[name])
        values = self._written(name)
        return values if self._kept is None else values[self._kept]

    def __iter__(self) -> Iterator[str]:
        yield from self.declared.axes
        yield from (column.name for column in self.declared.columns)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __repr__(self) -> str:
        columns = (f"{c.name} ({', '.join(c.axes)})" for c in self.declared.columns)
        return f"Table {self.declared.name} of {self._snapshot.path}: {', '.join(columns)}"

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
    def _kept(self) -> Array | None:
        """Which of the written rows hold; None means all."""
        if [source.path for source in self._snapshot.sources] == [self._snapshot.path]:
            return None  # sealed alone: its merge has left out what was superseded
        steps = self._written("step")
        limits = np.concatenate(
            [np.full(n, self._limit(s)) for s, n in zip(self._sources, self._lengths, strict=True)]
        )
        kept = steps < limits
        keys = pd.DataFrame({name: self._written(name) for name in self.declared.key})
        keys["superseded"] = ~kept
        kept &= ~keys.duplicated(keep="last").to_numpy()
        return None if kept.all() else kept

    @cached_property
    def _lengths(self) -> list[int]:
        return [len(self._read(source, "step")) for source in self._sources]

    def _rewinds(self, source: Source) -> list[int]:
        """Return the steps that sessions after that of `source` rewound to."""
        later = self._snapshot.header.sessions[len(source.header.sessions) :]
        return [session.rewind_to for session in later if session.rewind_to is not None]

    def _limit(self, source: Source) -> float:
        """Return the first step that later sessions superseded in `source`."""
        margin = 1 if self.declared.kind == "evaluation" else 0
        return min(self._rewinds(source), default=np.inf) + margin

    def _written(self, name: str) -> Array:
        """Return a column, or ``step``, over all rows in the order of writing."""
        if name == "step":
            pieces = [self._read(source, name) for source in self._sources]
            return np.concatenate(pieces)
        column = self.declared.column(name)
        shape = self.declared.shape(column)
        pieces = []
        for i, (source, table) in enumerate(zip(self._sources, self._declared, strict=True)):
            if name in (c.name for c in table.columns):
                pieces.append(self._read(source, name))
            else:
                pieces.append(np.full((self._lengths[i], *shape), column.fill, column.storage))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _read(self, source: Source, name: str) -> Array:
        with source.open() as file:
            return read(file[self.declared.name], name, str(source.path))


def view(snapshot: Snapshot, name: str) -> View:
    """Return a table.

    Raises
    ------
    TrajlabError
        If there is none of that name; the sentence names those there are.
    """
    if name not in snapshot.tables:
        raise TrajlabError(
            f"{snapshot.path} has no table {name!r}; it has {', '.join(snapshot.tables) or 'none'}"
        )
    return View(snapshot, name)
