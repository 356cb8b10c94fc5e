"""Runs in other formats."""

from __future__ import annotations

import io
import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store.files import replacing
from trajlab.store.formulas import inert
from trajlab.store.runs import Runs
from trajlab.store.trajectory import Trajectory

if TYPE_CHECKING:
    import xarray as xr

SUFFIXES = (".nc", ".zarr", ".csv", ".parquet", ".jsonl")


def export(runs: Runs, out: Path, table: str | None = None) -> None:
    """Write runs in the format that the suffix of `out` names.

    Parameters
    ----------
    runs
        ``.nc`` (netCDF) and ``.zarr`` hold all tables of a run; of several runs each is a group,
        called as its file. The others have one row a step and label, with the run and its
        metadata. A key of the metadata that a
        recorded column has too is written as ``meta.<key>``; lists and mappings are JSON texts,
        in ``.jsonl`` themselves. A text that a spreadsheet would take for a formula gets an
        apostrophe in ``.csv``.
    out
        The file, or for ``.zarr`` the folder, to make. It is there whole or not at all.
    table
        The table to export: needed for ``.csv`` and ``.parquet``; without it ``.jsonl`` holds all.

    Raises
    ------
    TrajlabError
        If the suffix is unknown, a table is needed or absent, a package is missing, or the disk
        refuses.
    """
    if out.suffix not in SUFFIXES:
        raise TrajlabError(f"{out} must end in one of {', '.join(SUFFIXES)}")
    tables = ", ".join(dict.fromkeys(name for run in runs for name in run.tables))
    if out.suffix in (".nc", ".zarr") and table is not None:
        raise TrajlabError(f"{out} holds all tables; leave --table out, or write .csv")
    if out.suffix in (".csv", ".parquet") and table is None:
        raise TrajlabError(f"{out} can hold one table; name it with --table: {tables}")
    if table is not None and table not in tables.split(", "):
        raise TrajlabError(f"no run has table {table!r}; there are {tables}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as unfinished:
            if out.suffix in (".nc", ".zarr"):
                _export_tree(runs, unfinished, out.suffix)
            elif out.suffix == ".jsonl":
                _export_lines(runs, unfinished, table)
            else:
                _export_table(_tidy(runs, str(table)), unfinished, out.suffix)
    except ImportError as error:
        package = {".parquet": "pyarrow", ".zarr": "zarr"}.get(out.suffix, "xarray")
        raise TrajlabError(f"{package} is missing; pip install 'trajlab[export]'") from error
    except OSError as error:
        raise TrajlabError(
            f"{out} cannot be written ({error.strerror or error}); make room or name another file"
        ) from error


def _export_lines(runs: Runs, out: Path, table: str | None) -> None:
    names = dict.fromkeys(name for run in runs for name in run.tables if table in (None, name))
    with open(out, "w", encoding="utf-8") as file:
        for name in names:
            for row in _tidy(runs, name, beside=["table"]).to_dict("records"):
                # to_json keeps 10 decimals only
                file.write(json.dumps(_finite({**row, "table": name})) + "\n")


def _export_table(tidy: pd.DataFrame, out: Path, suffix: str) -> None:
    texts = [str(name) for name in tidy if tidy[name].dtype.kind not in "biuf"]
    tidy = tidy.assign(**{name: tidy[name].map(_text) for name in texts})
    if suffix == ".csv":
        inert(tidy).to_csv(out, index=False)
        return
    mixed = [name for name in texts if len(set(map(type, tidy[name].dropna()))) > 1]
    tidy.astype(dict.fromkeys(mixed, str)).to_parquet(out, index=False)


def _tidy(runs: Runs, table: str, beside: Collection[str] = ()) -> pd.DataFrame:
    """Return one table of all runs that have it, a row a step and label."""
    frames = {run: run.frame(table) for run in runs if table in run.tables}
    names = _names({key for run in frames for key in run.metadata}, frames.values(), beside)
    told = []
    for run, frame in frames.items():
        facts = {names[key]: [value] * len(frame) for key, value in run.metadata.items()}
        told.append(
            pd.concat([pd.DataFrame({"run": str(run.path), **facts}, frame.index), frame], axis=1)
        )
    tidy = pd.concat(told, ignore_index=True)
    first = ["run", *dict.fromkeys(names[key] for run in frames for key in run.metadata)]
    return tidy[[*first, *(name for name in tidy if name not in first)]]


def _names(
    keys: Collection[str], frames: Collection[pd.DataFrame], beside: Collection[str]
) -> dict[str, str]:
    """Return the column of each key of the metadata: never one that holds what was recorded."""
    taken = {"run", *beside, *(str(name) for frame in frames for name in frame)}
    names = {}
    for key in sorted(keys):
        name = key
        while name in taken:
            name = f"meta.{name}"
        taken.add(name)
        names[key] = name
    return names


def _text(value: Any) -> Any:
    """Write what a cell cannot hold as JSON."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def _finite(value: Any) -> Any:
    """Return a value with None for each number that JSON cannot hold."""
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list():
            return [_finite(item) for item in value]
        case float() if not np.isfinite(value):
            return None
    return value


def _export_tree(runs: Runs, out: Path, suffix: str) -> None:
    trees = {name: _tree(run) for name, run in zip(_groups(runs), runs, strict=True)}
    tree = next(iter(trees.values()))
    if len(trees) > 1:
        tree = type(tree)(children=trees)
    if suffix == ".zarr":
        tree.to_zarr(out, consolidated=False)
        return
    content = io.BytesIO()  # HDF5 crashes the process at its end if a disk refuses
    tree.to_netcdf(content, engine="h5netcdf")
    out.write_bytes(content.getbuffer())


def _groups(runs: Runs) -> list[str]:
    """Return a name for each run: that of its file, with a number where several share it."""
    names: list[str] = []
    for run in runs:
        name, n = run.path.stem, 1
        while name in names:
            name, n = f"{run.path.stem}-{n + 1}", n + 1
        names.append(name)
    return names


def _tree(run: Trajectory) -> xr.DataTree:
    tree = run.to_xarray()
    for node in tree.subtree:
        for item in (node, *node.data_vars.values()):
            # netCDF has neither flags nor empty lists among its attributes
            item.attrs = {
                key: int(value) if isinstance(value, bool) else value
                for key, value in item.attrs.items()
                if value != []
            }
    tree.attrs.update(
        run=str(run.path),
        run_id=run.run_id,
        created=run.created,
        tasks=run.tasks,
        metadata=json.dumps(run.metadata),
    )
    return tree
