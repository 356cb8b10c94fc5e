"""One run, read."""

from __future__ import annotations

from html import escape
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from trajlab.errors import TrajlabError, warn
from trajlab.lazy import pd
from trajlab.store import items, parts
from trajlab.store.rows import Array
from trajlab.store.snapshot import Snapshot, take
from trajlab.store.view import View, view

if TYPE_CHECKING:
    import xarray as xr


class Trajectory:
    """What one run recorded, as it stood when this object was made.

    Only the header is read at once; tables are read when they are asked for.

    Parameters
    ----------
    path
        The run's ``.h5`` file; a run in progress may so far have only its ``.h5.parts``.

    Raises
    ------
    TrajlabError
        If there is no run, it is not a trajectory, of a newer format, truncated or damaged.

    Attributes
    ----------
    path, run_id, created, status, tasks, shared, metadata, provenance
        As in the file's root; `provenance` is that of the last session.
    sessions : tuple of Session
        The sessions that recorded the run, each with its start and the step it resumed from.
    tables : tuple of str
        Names of the tables, in the order of their declaration.
    problems : tuple of str
        A sentence for each record that is missing, damaged or foreign, now or when the run was
        sealed.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = parts.expanded(path)
        self._snapshot: Snapshot | None = None
        self.refresh()

    def refresh(self) -> None:
        """Look again at what a run in progress has recorded; only what came since is read.

        Raises
        ------
        TrajlabError
            As when it was opened.
        """
        before = self._snapshot
        self._snapshot = take(parts.located(self.path), before)
        if self._snapshot is before:
            return
        self._views: dict[str, View] = {}  # what was declared does not change in a snapshot
        header = self._snapshot.header
        self.run_id = header.run_id
        self.created = header.created
        self.status = header.status
        self.tasks = list(header.tasks)
        self.shared = list(header.shared)
        self.metadata = dict(header.metadata)
        self.provenance = dict(header.sessions[-1].provenance)
        self.sessions = header.sessions
        self.tables = self._snapshot.tables
        self.problems = self._snapshot.problems
        for problem in self.problems:
            if before is None or problem not in before.problems:
                warn(problem)

    def table(self, name: str) -> View:
        """Return a table, a mapping from column and axis names to arrays.

        Raises
        ------
        AbsentError
            A `TrajlabError` and a `KeyError`: there is none of that name, and the sentence names
            those there are.
        """
        if name not in self._views:
            assert self._snapshot is not None
            self._views[name] = view(self._snapshot, name)
        return self._views[name]

    def frame(self, name: str) -> pd.DataFrame:
        """Return a table as a tidy frame, one row a step and label of every other axis.

        Columns that lack an axis are repeated along it; those of packed bits are left out.

        Raises
        ------
        AbsentError
            If there is no table of that name.
        """
        table = self.table(name)
        columns = [c for c in table.declared.columns if items.PACKED not in c.attributes]
        axes = table.declared.only(*(column.name for column in columns)).axes
        labels = {axis: table[axis] for axis in axes}
        shape = tuple(len(labels[axis]) for axis in axes)

        def spread(values: Array, own: tuple[str, ...]) -> Array:
            ordered = values.transpose([own.index(axis) for axis in axes if axis in own])
            aligned = ordered.reshape([len(labels[a]) if a in own else 1 for a in axes])
            return np.broadcast_to(aligned, shape).ravel()

        frame = {axis: spread(labels[axis], (axis,)) for axis in axes}
        frame |= {c.name: spread(table[c.name], c.axes) for c in columns}
        return pd.DataFrame(frame)

    def gram(self, *, every: int = 1) -> Array:
        """Return the inner products of task gradients over all shared parameters.

        Parameters
        ----------
        every
            Leave out all recorded steps but the first and every so many-th after it: a million
            matrices of eight tasks take half a gigabyte.

        Returns
        -------
        numpy.ndarray
            Shape (step, task, other_task), the sum over layers.

        Raises
        ------
        TrajlabError
            If no gradients were recorded, or only those of some layers.
        """
        gradients = self.table("gradients")
        if gradients.attributes.get("complete") is False:
            raise TrajlabError(
                f"{self.path} holds the gradients of some layers only, so there is no total; "
                f"read table('gradients')['gram'] by layer"
            )
        totals = np.concatenate(
            [rows.sum(axis=1, dtype=np.float64) for rows in gradients.thinned("gram", every)]
        )
        if not len(gradients["layer"]):  # nothing was ever measured, and a sum of nothing is 0
            totals[:] = np.nan
        return totals

    def correct(self, split: str = "test") -> np.ma.MaskedArray[Any, np.dtype[np.bool_]]:
        """Return which items each task classified rightly, at each evaluation of a split.

        Returns
        -------
        numpy.ma.MaskedArray
            Flags of shape (step, task, item), masked where a task had no such item at that step;
            the rows are those of ``table(f"evaluations/{split}")``.

        Raises
        ------
        AbsentError
            If there are no evaluations of that split, or they were recorded without ``correct``.
        """
        table = self.table(f"evaluations/{split}")
        return items.unpack(table["items"], table["correct"])

    def to_xarray(self) -> xr.DataTree:
        """Return all tables as an xarray tree; needs the extra ``trajlab[xarray]``."""
        try:
            import xarray as xr
        except ImportError as error:
            raise TrajlabError("xarray is missing; pip install 'trajlab[xarray]'") from error
        tables = {}
        for name in self.tables:
            table = self.table(name)
            tables[name] = xr.Dataset(
                {
                    c.name: (c.axes, table[c.name], table.column_attributes(c.name))
                    for c in table.declared.columns
                },
                {axis: table[axis] for axis in table.declared.axes},
                table.attributes,
            )
        return xr.DataTree.from_dict(tables)

    def __repr__(self) -> str:
        lines = [f"Trajectory {self.path} ({self.status}, created {self.created})"]
        lines += [f"  {name}: {text}" for name, text in self._facts().items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>"
            for name, text in self._facts().items()
        )
        title = f"Trajectory {self.path} ({self.status}, created {self.created})"
        return f"<table><caption>{escape(title)}</caption>{rows}</table>"

    def _facts(self) -> dict[str, str]:
        facts = {
            "tasks": ", ".join(self.tasks),
            "metadata": ", ".join(f"{key}={value}" for key, value in self.metadata.items()),
        }
        for name in self.tables:
            table = self.table(name)
            steps = table["step"]
            span = f", steps {steps.min()} to {steps.max()}" if len(steps) else ""
            columns = ", ".join(column.name for column in table.declared.columns)
            facts[name] = f"{len(steps)} rows{span}: {columns}"
        return facts | {f"problem {i}": text for i, text in enumerate(self.problems, 1)}
