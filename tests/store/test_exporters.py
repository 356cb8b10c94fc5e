"""Exports: what was recorded stays what it is, and a file is there whole or not at all."""

import csv
import json
import math
import os

import pandas as pd
import pytest
import xarray as xr

from tests.runs import run_python, write
from trajlab.store import Column, Table, load, standard
from trajlab.store.exporters import export


def record(path, steps=3, **metadata):
    losses = standard("losses", task=["a"]).only("learning_rate", "loss")
    notes = Table("notes", (Column("why", dtype="str"), Column("meta.step")))
    flushes = (
        {
            "losses": {"step": step, "loss": [1 / (step + 1)], "learning_rate": 0.5},
            "notes": {"step": step, "why": "=1+1"},
        }
        for step in range(steps)
    )
    return load(write(path, ["a"], [losses, notes], flushes, metadata=metadata))


def read(path):
    if path.suffix == ".jsonl":
        return pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
@pytest.mark.parametrize("key", ["loss", "step", "task", "learning_rate", "run", "table"])
def test_metadata_take_no_recorded_column_s_place(tmp_path, suffix, key):
    export(record(tmp_path / "run.h5", **{key: "mine"}), tmp_path / f"o{suffix}", "losses")
    table = read(tmp_path / f"o{suffix}")
    assert table["step"].tolist() == [0, 1, 2]
    assert table["loss"].tolist() == [1, 1 / 2, 1 / 3]
    assert table["task"].tolist() == ["a"] * 3
    assert table["learning_rate"].tolist() == [0.5] * 3
    assert table["run"].tolist() == [str(tmp_path / "run.h5")] * 3
    renamed = key != "table" or suffix == ".jsonl"
    assert table[f"meta.{key}" if renamed else key].tolist() == ["mine"] * 3


def test_a_column_that_is_named_like_renamed_metadata_is_spared_too(tmp_path):
    export(record(tmp_path / "run.h5", step="mine"), tmp_path / "o.csv", "notes")
    table = read(tmp_path / "o.csv")
    assert table["meta.meta.step"].tolist() == ["mine"] * 3
    assert table["meta.step"].isna().all()


def test_lists_mappings_and_nan_of_metadata_survive(tmp_path):
    facts = {"hidden": [64, 32], "record": {"every": 5}, "limit": math.nan}
    runs = record(tmp_path / "run.h5", **facts)
    for suffix in (".csv", ".parquet", ".jsonl"):
        export(runs, tmp_path / f"o{suffix}", "losses")
        row = read(tmp_path / f"o{suffix}").iloc[0]
        plain = suffix == ".jsonl"
        assert row["hidden"] == ([64, 32] if plain else "[64, 32]")
        assert row["record"] == ({"every": 5} if plain else '{"every": 5}')
        assert pd.isna(row["limit"])
    export(runs, tmp_path / "o.nc")
    with xr.open_datatree(tmp_path / "o.nc", engine="h5netcdf") as tree:
        told = json.loads(tree.attrs["metadata"])
    assert math.isnan(told.pop("limit"))
    assert told == {"hidden": [64, 32], "record": {"every": 5}}


def test_metadata_of_different_kinds_in_two_runs_share_a_column(tmp_path):
    record(tmp_path / "a.h5", x=1)
    record(tmp_path / "b.h5", x="one")
    for suffix in (".csv", ".parquet", ".jsonl"):
        export(load(tmp_path), tmp_path / f"o{suffix}", "losses")
        assert set(map(str, read(tmp_path / f"o{suffix}")["x"])) == {"1", "one"}


def test_a_csv_holds_no_formula(tmp_path):
    export(record(tmp_path / "run.h5", sign="-1", name="@a"), tmp_path / "o.csv", "notes")
    row = pd.read_csv(tmp_path / "o.csv", dtype=str).iloc[0]
    assert (row["why"], row["name"], row["sign"]) == ("'=1+1", "'@a", "-1")


@pytest.mark.parametrize(
    "begin", ["=", "+", "@", "\t=", "\r=", "\n=", "\uff1d", "\uff0b", "\uff20"]
)
def test_a_csv_holds_no_formula_however_it_begins(tmp_path, begin):
    facts = {"name": f"{begin}A1", "own": "A1=", "later": f"a{begin}A1"}
    export(record(tmp_path / "run.h5", **facts), tmp_path / "o.csv", "notes")
    with open(tmp_path / "o.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    begin = begin.replace("\r", "\n")
    for row in rows:
        assert [row[key] for key in facts] == [f"'{begin}A1", "A1=", f"a{begin}A1"]
    assert len(rows) == 3


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".nc"])
def test_a_refusing_disk_leaves_what_was_there(tmp_path, suffix):
    record(tmp_path / "run.h5", 5000)
    out = tmp_path / f"o{suffix}"
    out.write_text("before")
    code = f"""
import resource, signal
from pathlib import Path
from trajlab.errors import TrajlabError
from tests.runs import run_python, write
from trajlab.store import load
from trajlab.store.exporters import export
runs = load({str(tmp_path / "run.h5")!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    export(runs, Path({str(out)!r}), {None if suffix == ".nc" else "losses"!r})
except TrajlabError as error:
    assert "cannot be written (" in str(error), error
else:
    raise SystemExit("nothing was refused")
"""
    run_python(code)
    assert out.read_text() == "before"
    assert {file.name for file in tmp_path.iterdir()} <= {"run.h5", "run.h5.lock", out.name}


@pytest.mark.parametrize("suffix", [".csv", ".zarr"])
def test_what_a_killed_export_left_goes_with_the_next(tmp_path, suffix):
    runs = record(tmp_path / "run.h5")
    out = tmp_path / f"o[1]{suffix}"
    code = f"""
import os
from pathlib import Path
from trajlab.store.files import replacing
with replacing(Path({str(out)!r})) as unfinished:
    unfinished.mkdir() if {suffix == ".zarr"} else unfinished.write_text("half")
    os._exit(0)
"""
    run_python(code)
    (left,) = (file for file in tmp_path.iterdir() if file.name.startswith(".o"))
    elsewhere = tmp_path / f".{out.name}.elsewhere.1"
    alive = left.with_name(f"{left.name.rpartition('.')[0]}.{os.getppid()}")
    other = tmp_path / f".p{suffix}.{left.name.rpartition('.')[2]}"
    for file in (elsewhere, alive, other):
        file.write_text("half")
    with pytest.warns(UserWarning, match="is unfinished: process") as said:
        export(runs, out, "losses" if suffix == ".csv" else None)
    assert {str(each.message).partition(" ")[0] for each in said} == {str(elsewhere), str(alive)}
    assert not left.exists()
    assert all(file.exists() for file in (out, elsewhere, alive, other))
