"""Whatever runs hold, every format gives back: numbers, tasks, metadata, each run apart."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from trajlab.store import Writer, load, standard
from trajlab.store.exporters import export

TASKS = st.lists(
    st.text("abγ /=.-", min_size=1, max_size=4).map(str.strip).filter(bool),
    min_size=1,
    max_size=3,
    unique=True,
)
LOSSES = st.lists(st.floats(), min_size=1, max_size=4)
METADATA = st.dictionaries(
    st.sampled_from(["method", "seed", "loss", "step", "run", "table"]),
    st.one_of(st.text("ab=+ ü", max_size=3), st.integers(-5, 5), st.floats(-1, 1), st.booleans()),
    max_size=3,
)
RUN = st.tuples(TASKS, LOSSES, METADATA)


def numbers(tidy: pd.DataFrame) -> dict[tuple[str, int, str], str]:
    """Return the loss by run, step and task, as text, for NaN is as NaN."""
    rows = zip(tidy["run"], tidy["step"], tidy["task"], tidy["loss"], strict=True)
    return {(run, int(step), str(task)): repr(float(loss)) for run, step, task, loss in rows}


@given(runs=st.lists(RUN, min_size=1, max_size=3))
@settings(max_examples=8, deadline=None)
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl", ".nc", ".zarr"])
def test_a_set_of_runs_comes_back(suffix, runs):
    with tempfile.TemporaryDirectory() as name:
        folder, expected = Path(name), {}
        for i, (tasks, losses, metadata) in enumerate(runs):
            path = folder / "runs" / str(i) / "run.h5"
            path.parent.mkdir(parents=True)
            writer = Writer(path, tasks, metadata=metadata)
            writer.declare(standard("losses", task=tasks).only("loss"))
            for step, loss in enumerate(losses):
                values = [loss + k for k in range(len(tasks))]
                writer.append("losses", {"step": step, "loss": values})
                expected |= {
                    (str(path), step, task): repr(float(value))
                    for task, value in zip(tasks, values, strict=True)
                }
            writer.close()
        out = folder / "made" / f"all{suffix}"
        export(load(folder / "runs"), out, None if suffix in (".nc", ".zarr") else "losses")
        if suffix == ".jsonl":  # JSON has neither NaN nor infinities: they are null
            expected = {key: "nan" if "inf" in text else text for key, text in expected.items()}
        assert found_in(out) == expected


def found_in(out: Path) -> dict[tuple[str, int, str], str]:
    """Read an export as its users do, without trajlab."""
    if out.suffix in (".nc", ".zarr"):
        return found_in_tree(out)
    if out.suffix == ".csv":
        tidy = pd.read_csv(out, keep_default_na=False, na_values={"loss": [""]})
        tidy["task"] = (
            tidy["task"].astype(str).str.removeprefix("'")
        )  # of what looks like a formula
    elif out.suffix == ".parquet":
        tidy = pd.read_parquet(out)
    else:
        tidy = pd.DataFrame([json.loads(line) for line in out.read_text().splitlines()])
        tidy["loss"] = tidy["loss"].astype(float)
    return numbers(tidy)


def found_in_tree(out: Path) -> dict[tuple[str, int, str], str]:
    how = (
        {"engine": "h5netcdf"} if out.suffix == ".nc" else {"engine": "zarr", "consolidated": False}
    )
    found = {}
    with xr.open_datatree(out, **how) as tree:
        for node in [tree] if "losses" in tree.children else tree.children.values():
            loss = node["losses"]["loss"]
            steps, tasks = loss["step"].values, loss["task"].values
            for i, j in np.ndindex(loss.shape):
                key = (node.attrs["run"], int(steps[i]), str(tasks[j]))
                found[key] = repr(float(loss.values[i, j]))
    return found
