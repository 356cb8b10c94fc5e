"""Many runs: found, opened, selected."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from trajlab.errors import TrajlabError, warn
from trajlab.lazy import pd
from trajlab.store import parts
from trajlab.store.labels import ranks
from trajlab.store.trajectory import Trajectory

if TYPE_CHECKING:
    import xarray as xr


class Runs(Sequence[Trajectory]):
    """Trajectories in the order of their paths, numbers in these as numbers.

    Parameters
    ----------
    trajectories
        The runs.
    skipped
        Files that were found and could not be read: path and reason.
    """

    def __init__(
        self, trajectories: Sequence[Trajectory], skipped: Sequence[tuple[Path, str]] = ()
    ) -> None:
        self._trajectories = tuple(trajectories)
        self.skipped = list(skipped)

    @overload
    def __getitem__(self, index: int) -> Trajectory: ...
    @overload
    def __getitem__(self, index: slice) -> Runs: ...
    def __getitem__(self, index: int | slice) -> Trajectory | Runs:
        if isinstance(index, slice):
            return Runs(self._trajectories[index], self.skipped)
        return self._trajectories[index]

    def __len__(self) -> int:
        return len(self._trajectories)

    def __iter__(self) -> Iterator[Trajectory]:
        return iter(self._trajectories)

    def select(self, **metadata: Any) -> Runs:
        """Return the runs whose metadata have these values.

        Raises
        ------
        TrajlabError
            If no run has a key, or none has the values; the sentence names what there is.
        """
        for key in metadata:
            values = sorted({str(run.metadata[key]) for run in self if key in run.metadata})
            if not values:
                known = sorted({known for run in self for known in run.metadata})
                raise TrajlabError(
                    f"no run has metadata {key!r}; there are {', '.join(known) or 'none'}"
                )
            if not any(run.metadata.get(key) == metadata[key] for run in self):
                raise TrajlabError(
                    f"no run has {key}={metadata[key]!r}; {key} is {', '.join(values)}"
                )
        chosen = [
            run
            for run in self
            if all(run.metadata.get(key) == value for key, value in metadata.items())
        ]
        return Runs(chosen, self.skipped)

    def to_frame(self, table: str | None = None) -> pd.DataFrame:
        """Return the runs as a frame, or the rows of one of their tables, of all that have it.

        Parameters
        ----------
        table
            Name of a table, such as ``evaluations/test``; None for one row a run.

        Returns
        -------
        pandas.DataFrame
            Of a table, the rows of :meth:`Trajectory.frame` with the run's path and its metadata
            before them; a key that is also a column of the table becomes ``metadata_KEY``. Runs
            without the table are named in a warning.

        Raises
        ------
        AbsentError
            If no run has the table.
        """
        if table is None:
            return self._overview(whole=True)
        without = [str(run.path) for run in self if table not in run.tables]
        if len(without) == len(self) and self:
            self[0].table(table)  # says which there are
        if without:
            warn(f"without the table {table}: {', '.join(without)}")
        frames = []
        for run in self:
            if table in run.tables:
                rows = run.frame(table)
                about = {
                    f"metadata_{key}" if key in rows or key == "run" else key: value
                    for key, value in run.metadata.items()
                }
                head = pd.DataFrame([{"run": str(run.path), **about}] * len(rows), rows.index)
                frames.append(pd.concat([head, rows], axis="columns"))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def to_xarray(self) -> xr.DataTree:
        """Return all tables of all runs as one xarray tree; needs the extra ``trajlab[xarray]``.

        Returns
        -------
        xarray.DataTree
            A node a run, named as its file below the folder that all have in common; in it are its
            tables as :meth:`Trajectory.to_xarray` returns them, and its metadata as attributes.
        """
        folder = os.path.commonpath([run.path.absolute().parent for run in self]) if self else "."
        trees = {
            run.path.absolute().relative_to(folder).with_suffix("").as_posix(): run.to_xarray()
            for run in self
        }
        import xarray as xr  # there, or a run would have said that it is missing

        for run, tree in zip(self, trees.values(), strict=True):
            tree.attrs |= run.metadata
        nodes = {
            f"{name}/{node.relative_to(tree)}": node.to_dataset()
            for name, tree in trees.items()
            for node in tree.subtree
        }
        return xr.DataTree.from_dict(nodes)

    def __repr__(self) -> str:
        return "\n".join(
            [self._title(), self._overview().fillna("").to_string(index=False), *self._notes()]
        )

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{escape(note)}</p>" for note in self._notes())
        return f"<p>{self._title()}</p>{self._overview().fillna('').to_html(index=False)}{notes}"

    def _title(self) -> str:
        return f"{len(self)} run{'' if len(self) == 1 else 's'}"

    def _overview(self, *, whole: bool = False) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "run": str(run.path) if whole else run.path.name,
                    "status": run.status,
                    **run.metadata,
                    "tasks": ", ".join(run.tasks),
                }
                for run in self
            ]
        )

    def _notes(self) -> list[str]:
        return [f"skipped: {sentence}" for _, sentence in self.skipped]


def load(*patterns: str | PathLike[str]) -> Runs:
    """Open runs.

    Parameters
    ----------
    *patterns
        Files, folders (searched to any depth) or globs. A run that so far exists only as
        ``….h5.parts`` is found too.

    Returns
    -------
    Runs
        Without the files that could not be read; those are in ``.skipped``, with the reason.

    Raises
    ------
    TrajlabError
        If a pattern matches nothing, or no run could be read.
    """
    trajectories, skipped = [], []
    for path in find(*patterns):
        try:
            trajectories.append(Trajectory(path))
        except TrajlabError as error:
            skipped.append((path, str(error)))
    if not trajectories:
        raise TrajlabError(skipped[0][1] if skipped else "no run was named; give a file or folder")
    return Runs(trajectories, skipped)


def find(*patterns: str | PathLike[str]) -> list[Path]:
    """Return the runs that patterns name, each once, whether they can be read or not.

    Raises
    ------
    TrajlabError
        If a folder or glob matches nothing.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        if not isinstance(pattern, str | PathLike):
            raise TrajlabError(
                f"a {type(pattern).__name__} is no path; name each file or folder as an argument "
                "of its own: load(*paths)"
            )
        for path in _find(os.path.expanduser(fspath(pattern))):
            found.setdefault(parts.located(path), path)
    return list(found.values())


def _find(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir() and path.suffix != parts.SUFFIX:
        found = _runs_of(_within(path))
        if not found:
            raise TrajlabError(
                f"{path} holds no run (*.h5); record one there, name another folder, or bring "
                "other logs in by trajlab import"
            )
        return found
    if glob.has_magic(pattern) and not path.exists():
        # a run that is recorded may have its parts only
        matches = [glob.glob(pattern + end, recursive=True) for end in ("", parts.SUFFIX)]
        found = _runs_of(Path(match) for several in matches for match in several)
        if not found:
            raise TrajlabError(f"{pattern} matches no file; name runs (*.h5) or their folder")
        return found
    return _runs_of([path])


def _within(folder: Path) -> Iterator[Path]:
    """Yield the runs in a folder, through links to other folders, each of those once.

    A folder that cannot be read is yielded too: who opens it is told why.
    """
    unreadable: list[OSError] = []
    seen: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, onerror=unreadable.append, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield from (Path(place, name) for name in files if name.endswith(".h5"))
        held = [name for name in folders if name.endswith((".h5", ".h5" + parts.SUFFIX))]
        yield from (Path(place, name) for name in held)
        folders[:] = [name for name in folders if name not in held]
    yield from (Path(error.filename) for error in unreadable)


def _runs_of(paths: Iterable[Path]) -> list[Path]:
    """Return the runs that files, folders of parts and parts belong to, each once."""
    runs: dict[Path, Path] = {}
    for path in sorted(paths):
        file = path.parent if path.parent.suffix == parts.SUFFIX else path
        if file.suffix not in (".lock", ".tmp"):
            run = file.with_suffix("") if file.suffix == parts.SUFFIX else file
            runs.setdefault(parts.located(run), run)
    places = ranks(str(run) for run in sorted(runs.values()))  # seed2 before seed10
    return sorted(runs.values(), key=lambda run: places[str(run)])
