"""check, merge, repair, export and watch."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.runs import write
from trajlab.store import Trajectory, parts, standard

TASKS = ["left", "right"]


@pytest.fixture
def run(tmp_path):
    """A run in progress whose writer is gone."""
    names = ("losses", "evaluations/test", "hessian")
    gradients = standard("gradients", task=TASKS, layer=["trunk"])
    flushes = (
        {
            "losses": {"step": step, "loss": [step, 2.0]},
            "gradients": {"step": step, "gram": [[[1, 0.5], [0.5, 1]]]},
            "evaluations/test": {"step": step, "loss": [step, 1]},
            "hessian": {"step": step, "top": [5, 6], "converged": [True, False]},
        }
        for step in range(4)
    )
    return write(
        tmp_path / "run.h5",
        TASKS,
        [gradients, *(standard(name, task=TASKS) for name in names)],
        flushes,
        close=False,
        metadata={"method": "uniform", "seed": 3},
    )


def test_check_exits_1_when_something_is_wrong(trajlab, run):
    result = trajlab("check", run, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["problems"] == []
    part = parts.part(run, 1)
    part.write_bytes(part.read_bytes()[:-1])
    result = trajlab("check", run.parent, "--json")
    assert result.exit_code == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert "000001.log" in problem["problem"]
    told = trajlab("check", run).stdout
    assert told.startswith("problems\n")
    assert "restore it from a copy" in " ".join(told.split())
    assert told.endswith("1 runs checked, 1 with problems, 1 problems\n")


def test_what_a_check_counts_is_told_below_its_table(trajlab, run):
    rows = [{"losses": {"step": 0, "loss": [1.0, 2.0]}}]
    write(run.with_name("other.h5"), TASKS, [standard("losses", task=TASKS)], rows)
    told = trajlab("check", run.parent).stdout
    assert told.startswith("columns\n")
    assert told.endswith("2 runs checked, 0 with problems, 0 problems\n")
    columns = pd.DataFrame(json.loads(trajlab("check", run, "--json").stdout)["columns"])
    assert list(columns) == ["run", "table", "column", "rows", "finite"]
    assert set(columns["run"]) == {str(run)}


def test_merge_and_repair(trajlab, run):
    assert trajlab("repair", run, run.with_name("saved.h5")).stdout.endswith("nothing was lost\n")
    assert trajlab("merge", run).exit_code == 0
    for path in (run, run.with_name("saved.h5")):
        assert Trajectory(path).status == "recovered"
        assert len(Trajectory(path).table("losses")["step"]) == 4
    assert trajlab("merge", run).exit_code == 2


def test_merge_says_what_it_could_not_read(trajlab, run):
    part = parts.part(run, 1)
    content = bytearray(part.read_bytes())
    content[-10] ^= 1
    part.write_bytes(content)
    result = trajlab("merge", run)
    assert result.exit_code == 0
    assert "000001.log is damaged" in result.stderr


def test_tidy_exports(trajlab, run):
    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        out = run.with_suffix(suffix)
        assert trajlab("export", run, "--out", out, "--table", "losses").exit_code == 0
        table = read(out)
        assert len(table) == 8
        assert table["loss"].tolist() == Trajectory(run).table("losses")["loss"].ravel().tolist()
        assert set(table["seed"]) == {3}
    # what is there is kept, unless it is to be replaced
    again = ("export", run, "--table", "evaluations/test", "--out", run.with_suffix(".csv"))
    refused = trajlab(*again)
    assert (refused.exit_code, "exists" in refused.stderr) == (2, True)
    assert set(pd.read_csv(run.with_suffix(".csv"))["loss"]) == {0, 1, 2, 3}
    assert trajlab(*again, "--force").stdout == f"{run.with_suffix('.csv')} written\n"
    assert pd.read_csv(run.with_suffix(".csv"))["loss"].tolist() == [0, 1, 1, 1, 2, 1, 3, 1]
    several = trajlab("export", run, "--out", run.with_suffix(".csv"), "--force")
    assert (several.exit_code, "exists" in several.stderr) == (2, False)
    assert trajlab("export", run, "--out", run.with_suffix(".txt")).exit_code == 2
    out = run.with_suffix(".jsonl")
    assert trajlab("export", run, "--out", out).exit_code == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["table"] for row in rows} == set(Trajectory(run).tables)
    losses = [row["loss"] for row in rows if row["table"] == "losses"]
    assert losses == Trajectory(run).table("losses")["loss"].ravel().tolist()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*V3 specification:UserWarning")
@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_exported_trees_hold_every_number(trajlab, run, suffix):
    out = run.with_suffix(suffix)
    result = trajlab("export", run, "--out", out)
    assert result.exit_code == 0, result.stderr
    engine = {".nc": "h5netcdf", ".zarr": "zarr"}[suffix]
    options = {"consolidated": False} if engine == "zarr" else {}
    with xr.open_datatree(out, engine=engine, **options) as tree:
        ours = Trajectory(run)
        for name in ours.tables:
            for column in ours.table(name).declared.columns:
                np.testing.assert_array_equal(
                    tree[name][column.name].values, ours.table(name)[column.name]
                )
        assert tree["losses"].sel(step=2, task="left")["loss"] == 2


def test_watch_draws_each_quantity_once(trajlab, run):
    text = trajlab("watch", run, "--once").stdout
    assert "recording" in text
    for title in ("training loss", "cosine of task gradients", "top Hessian eigenvalue"):
        assert f"{title}, step 3" in text


def test_watch_follows_a_run_until_it_is_closed(trajlab, run, monkeypatch):
    def wait(_):
        trajlab("merge", run)

    monkeypatch.setattr("time.sleep", wait)
    result = trajlab("watch", run)
    assert result.exit_code == 0
    assert "recovered" in result.stdout
