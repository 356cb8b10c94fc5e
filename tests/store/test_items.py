"""Flags of items: packed, read back, resumed, merged, exported."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trajlab.errors import TrajlabError
from trajlab.store import Runs, Table, Trajectory, Writer, items
from trajlab.store.check import check
from trajlab.store.exporters import export

TASKS = ["left", "right", "third"]
FLAGS = arrays(bool, st.integers(1, 40))


@given(st.lists(st.dictionaries(st.sampled_from(TASKS), FLAGS), max_size=5))
def test_what_is_packed_is_unpacked(rows):
    width = max((len(f) for row in rows for f in row.values()), default=1)
    packed = [items.pack({**row, "wide": np.zeros(width, bool)}, [*TASKS, "wide"]) for row in rows]
    if not rows:
        return
    found = items.unpack(*(np.array([row[key] for row in packed]) for key in ("items", "correct")))
    assert found.shape == (len(rows), 4, width)
    for i, row in enumerate(rows):
        for j, task in enumerate(TASKS):
            np.testing.assert_array_equal(found[i, j].compressed(), row.get(task, []))


@pytest.mark.parametrize("flags", [1.0, [1, 0], [[True]], [], np.ones(3)])
def test_what_is_no_flat_array_of_flags_is_refused(flags):
    with pytest.raises(TrajlabError, match="correct of task 'left' must be a flat array of flags"):
        items.pack({"left": flags}, TASKS)


@pytest.fixture
def resumed(tmp_path):
    """A run of 20 items, resumed from its second checkpoint, and its flags."""
    flags = np.random.default_rng(0).random((4, 2, 20)) < 0.5
    table = Table(
        "evaluations/test",
        items.COLUMNS,
        {"task": TASKS[:2], "item_byte": range(3)},
        kind="evaluation",
    )
    for steps, from_step in (([0, 1, 2], None), ([2, 3], 1)):
        writer = Writer(tmp_path / "run.h5", TASKS[:2], resume=True, from_step=from_step)
        writer.declare(table)
        for step in steps:
            # what the first session recorded at step 2 is superseded
            both = flags[step] if from_step or step < 2 else ~flags[step]
            row = items.pack(dict(zip(TASKS, both, strict=False)), TASKS[:2])
            writer.append("evaluations/test", {"step": step, **row})
        if from_step is None:
            writer.close()
    writer.flush()
    yield writer, flags
    writer.close()


@pytest.mark.parametrize("closed", [False, True])
def test_flags_survive_resume_and_merge(resumed, closed):
    writer, flags = resumed
    if closed:
        writer.close()
    run = Trajectory(writer.path)
    np.testing.assert_array_equal(run.correct("test").filled(), flags)
    assert not run.correct("test").mask.any()
    assert check(writer.path).problems == ()
    # a frame would repeat its rows for every byte
    assert list(run.frame("evaluations/test")) == ["step", "task", "items"]


def test_flags_are_exported_packed(resumed, tmp_path):
    writer, flags = resumed
    run = Trajectory(writer.path)
    runs = Runs([run])
    for suffix, options in (("nc", {"engine": "h5netcdf"}), ("zarr", {"consolidated": False})):
        export(runs, tmp_path / f"out.{suffix}")
        with xr.open_datatree(tmp_path / f"out.{suffix}", **options) as tree:
            table = tree["evaluations/test"]
            assert table["correct"].dims == ("step", "task", "item_byte")
            found = np.unpackbits(table["correct"].to_numpy(), axis=-1, count=20)
            np.testing.assert_array_equal(found, flags)
    export(runs, tmp_path / "out.csv", "evaluations/test")
    assert len(pd.read_csv(tmp_path / "out.csv")) == 8
