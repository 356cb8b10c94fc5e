"""Runs in other formats."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from trajlab.errors import TrajlabError
from trajlab.store.runs import Runs
from trajlab.store.trajectory import Trajectory

SUFFIXES = (".nc", ".zarr", ".csv", ".parquet", ".jsonl")


def export(runs: Runs, out: Path, table: str | None = None) -> None:
    """Write runs in the format that the suffix of `out` names.

    Parameters
    ----------
    runs
        ``.nc`` (netCDF) and ``.zarr`` hold one run, with all its tables; the others any number,
        one row a step and label, with the run and its metadata.
    out
        The file, or for ``.zarr`` the folder, to make.
    table
        The table to export: needed for ``.csv`` and ``.parquet``; without it ``.jsonl`` holds all.

    Raises
    ------
    TrajlabError
        If the suffix is unknown, a table is needed or absent, or a package is missing.
    """
    if out.suffix not in SUFFIXES:
        raise TrajlabError(f"{out} must end in one of {', '.join(SUFFIXES)}")
    if out.suffix in (".nc", ".zarr"):
        if len(runs) != 1:
            raise TrajlabError(f"{out} can hold one run, not {len(runs)}; export them one by one")
        _export_tree(runs[0], out)
    elif out.suffix == ".jsonl":
        names = dict.fromkeys(name for run in runs for name in run.tables if table in (None, name))
        with open(out, "w") as file:
            for name in names:
                tidy = _tidy(runs, name).assign(table=name)
                for column in [name for name in tidy if tidy[name].dtype.kind == "f"]:
                    values = tidy[column]
                    tidy[column] = values.astype(object).where(np.isfinite(values), None)
                for row in tidy.to_dict("records"):
                    file.write(json.dumps(row) + "\n")  # to_json keeps 10 decimals only
    elif table is None:
        raise TrajlabError(f"{out} can hold one table; name it with --table")
    elif out.suffix == ".csv":
        _tidy(runs, table).to_csv(out, index=False)
    else:
        try:
            _tidy(runs, table).to_parquet(out, index=False)
        except ImportError as error:
            raise TrajlabError("pyarrow is missing; pip install 'trajlab[export]'") from error


def _tidy(runs: Runs, table: str) -> pd.DataFrame:
    """Return one table of all runs that have it, a row a step and label."""
    frames = [
        run.frame(table).assign(run=str(run.path), **run.metadata)
        for run in runs
        if table in run.tables
    ]
    if not frames:
        raise TrajlabError(f"no run has table {table!r}; one has {', '.join(runs[0].tables)}")
    tidy = pd.concat(frames, ignore_index=True)
    first = ["run", *dict.fromkeys(key for run in runs for key in run.metadata)]
    return tidy[[*first, *(name for name in tidy if name not in first)]]


def _export_tree(run: Trajectory, out: Path) -> None:
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
        run_id=run.run_id, created=run.created, tasks=run.tasks, metadata=str(run.metadata)
    )
    try:
        if out.suffix == ".nc":
            tree.to_netcdf(out, engine="h5netcdf")
        else:
            tree.to_zarr(out, consolidated=False)
    except ImportError as error:
        raise TrajlabError("zarr is missing; pip install 'trajlab[export]'") from error
