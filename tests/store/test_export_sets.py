"""A whole set of runs in one file or folder."""

import pytest
import xarray as xr

from trajlab.errors import TrajlabError
from trajlab.store import Writer, load, standard
from trajlab.store.exporters import export


@pytest.fixture
def runs(tmp_path):
    for seed in range(2):
        path = tmp_path / "runs" / str(seed) / "run.h5"
        path.parent.mkdir(parents=True)
        writer = Writer(path, ["a"], metadata={"seed": seed})
        writer.declare(standard("losses", task=["a"]))
        writer.append("losses", {"step": 0, "loss": [seed + 1.0]})
        writer.close()
    return load(tmp_path / "runs")


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_each_run_is_a_group(tmp_path, runs, suffix):
    out = tmp_path / "new" / f"all{suffix}"
    export(runs, out)
    how = {"engine": "h5netcdf"} if suffix == ".nc" else {"engine": "zarr", "consolidated": False}
    with xr.open_datatree(out, **how) as tree:
        found = {name: float(tree[name]["losses"]["loss"][0, 0]) for name in tree.children}
        assert found == {"run": 1, "run-2": 2}
        told = {name: node.attrs["metadata"] for name, node in tree.children.items()}
        assert told == {"run": '{"seed": 0}', "run-2": '{"seed": 1}'}


def test_errors_list_the_tables(tmp_path, runs):
    with pytest.raises(TrajlabError, match="name it with --table: losses"):
        export(runs, tmp_path / "a.csv")
    with pytest.raises(TrajlabError, match="there are losses"):
        export(runs, tmp_path / "a.jsonl", "fisher")
