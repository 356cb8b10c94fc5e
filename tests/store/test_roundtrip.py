"""What is written is what is read, by trajlab, plain h5py and xarray."""

import json
import math

import h5py
import numpy as np
import pytest
import xarray as xr

from trajlab.errors import TrajlabError
from trajlab.store import Column, Table, Trajectory, Writer, standard
from trajlab.store.schema import SPLITS, STANDARD

TASKS = ["left", "rechts é"]
LABELS = {"task": TASKS, "layer": ["a", "b.c"], "rho": [math.nan, 1e-3], "k": range(5)}


def every_table():
    """Yield each standard table with labels for exactly the axes that it uses."""
    for name, template in STANDARD.items():
        labels = {axis: LABELS[axis] for axis in template.axes if axis in LABELS}
        for full in [f"{name}/{s}" for s in SPLITS] if name == "evaluations" else [name]:
            yield standard(full, **labels)


def random_row(table, step, generator):
    row = {"step": step}
    for column in table.columns:
        shape = table.shape(column)
        if column.dtype == "str":
            value = np.full(shape, f"reason {step} ü", object)
        elif column.dtype == "bool":
            value = generator.random(shape) < 0.5
        elif column.dtype.startswith("int"):
            value = generator.integers(0, 100, shape)
        else:
            value = generator.normal(size=shape).astype(column.dtype)
        row[column.name] = value if shape else value.item()
    return row


@pytest.fixture
def written(tmp_path):
    """A closed run with five rows in every standard table, and those rows."""
    generator = np.random.default_rng(0)
    rows = {}
    writer = Writer(
        tmp_path / "run.h5",
        TASKS,
        shared=["trunk.weight"],
        metadata={"setting": "digits", "seed": np.int64(3)},
        provenance={"python": "3"},
    )
    for table in every_table():
        writer.declare(table)
        rows[table.name] = [random_row(table, step, generator) for step in range(5)]
    for step in range(5):
        for name, of_table in rows.items():
            writer.append(name, of_table[step])
        if step % 2:
            writer.flush()
    writer.set_attributes("gradients", {"complete": True, "estimator": "exact", "ids": [1, 2]})
    in_parts = Trajectory(writer.path)
    writer.close()
    return Trajectory(writer.path), rows, in_parts


def test_every_standard_table_comes_back_exactly(written):
    run, rows, _ = written
    assert run.tables == tuple(rows)
    for name, of_table in rows.items():
        table = run.table(name)
        for column in table.declared.columns:
            expected = np.array([row[column.name] for row in of_table], column.storage)
            np.testing.assert_array_equal(table[column.name], expected)
            assert table[column.name].dtype == column.storage
        np.testing.assert_array_equal(table["step"], range(5))


def test_a_run_in_progress_reads_what_was_flushed(written):
    run, _, in_parts = written
    assert in_parts.status == "recording"
    assert run.status == "complete"
    np.testing.assert_array_equal(in_parts.table("losses")["loss"], run.table("losses")["loss"][:4])


def test_header(written):
    run, _, _ = written
    assert run.tasks == TASKS
    assert run.shared == ["trunk.weight"]
    assert run.metadata == {"setting": "digits", "seed": 3}
    assert run.provenance == {"python": "3"}
    assert run.table("gradients").attributes == {
        "complete": True,
        "estimator": "exact",
        "ids": [1, 2],
    }
    assert run.table("evaluations/test").column_attributes("loss")["higher_is_better"] is False


def test_plain_h5py_reads_the_format(written):
    run, rows, _ = written
    with h5py.File(run.path) as file:
        assert file.attrs["format"] == "trajlab"
        assert file.attrs["format_version"] == 2
        assert list(file.attrs["tasks"]) == TASKS
        assert json.loads(file.attrs["metadata"])["setting"] == "digits"
        gram = file["gradients/gram"]
        assert gram.dtype == np.float64
        assert gram.chunks is None
        axes = [dimension[0].name for dimension in gram.dims]
        assert axes == [f"/gradients/{axis}" for axis in ("step", "layer", "task", "other_task")]
        assert file["hessian/converged"].dtype == np.bool_
        text = h5py.check_string_dtype(file["gradients/task"].dtype)
        assert (text.encoding, text.length) == ("utf-8", None)
        np.testing.assert_array_equal(gram[2], rows["gradients"][2]["gram"])


@pytest.mark.parametrize("name", [table.name for table in every_table()])
def test_xarray_reads_every_table_by_name(written, name):
    run, _, _ = written
    with xr.open_dataset(run.path, engine="h5netcdf", group=name) as dataset:
        table = run.table(name)
        for column in table.declared.columns:
            assert dataset[column.name].dims == column.axes
            if "task" in column.axes:
                chosen = dataset[column.name].sel(task=TASKS[1])
                axis = column.axes.index("task")
                expected = np.take(table[column.name], 1, axis)
                np.testing.assert_array_equal(chosen.values, expected)
        assert set(dataset.coords) == set(table.declared.axes)
        np.testing.assert_array_equal(dataset.sel(step=3)["step"], 3)


def test_xarray_opens_the_whole_tree(written):
    run, rows, _ = written
    with xr.open_datatree(run.path, engine="h5netcdf") as tree:
        assert set(rows) <= {group.strip("/") for group in tree.groups}
        ours = run.to_xarray()
        for name in rows:
            xr.testing.assert_equal(tree[name].to_dataset().load(), ours[name].to_dataset())


def test_a_column_declared_later_is_empty_before(tmp_path):
    writer = Writer(tmp_path / "run.h5", TASKS)
    early = Table("custom", (Column("a"),))
    writer.declare(early)
    writer.append("custom", {"step": 0, "a": 1.0})
    writer.flush()
    writer.declare(
        Table(
            "custom",
            (
                Column("b", ("step", "task")),
                Column("n", dtype="int64"),
                Column("flag", dtype="bool"),
                Column("why", dtype="str"),
            ),
            {"task": TASKS},
        )
    )
    writer.append("custom", {"step": 1, "b": [1, 2], "n": 3, "flag": True, "why": "é"})
    before_merge = Trajectory(writer.path).table("custom")
    writer.close()
    for table in (before_merge, Trajectory(writer.path).table("custom")):
        rows = len(table["step"])
        np.testing.assert_array_equal(table["a"], [1.0, np.nan][:rows])
    np.testing.assert_array_equal(table["b"], [[np.nan, np.nan], [1, 2]])
    assert table["n"].tolist() == [-1, 3]
    assert table["flag"].tolist() == [False, True]
    assert table["why"].tolist() == ["", "é"]


def test_of_two_rows_with_one_key_the_later_holds(tmp_path):
    writer = Writer(tmp_path / "run.h5", TASKS)
    writer.declare(standard("losses", task=TASKS))
    writer.declare(standard("evaluations/test", task=TASKS))
    for micro_step in range(2):
        writer.append("losses", {"step": 0, "micro_step": micro_step, "loss": [1, 2]})
        writer.append("evaluations/test", {"step": 0, "loss": [micro_step, 0]})
        writer.flush()
    in_parts = Trajectory(writer.path)
    writer.close()
    for run in (in_parts, Trajectory(writer.path)):
        assert run.table("losses")["micro_step"].tolist() == [0, 1]
        assert run.table("evaluations/test")["loss"].tolist() == [[1, 0]]


def test_frame_has_one_row_a_step_and_label(written):
    run, rows, _ = written
    frame = run.frame("losses")
    assert list(frame.columns[:3]) == ["step", "task", "micro_step"]
    assert len(frame) == 5 * len(TASKS)
    one = frame[(frame["step"] == 3) & (frame["task"] == TASKS[1])].iloc[0]
    assert one["loss"] == rows["losses"][3]["loss"][1]
    assert one["learning_rate"] == rows["losses"][3]["learning_rate"]
    gram = run.frame("gradients").set_index(["step", "layer", "task", "other_task"])["gram"]
    assert gram[4, "b.c", TASKS[0], TASKS[1]] == rows["gradients"][4]["gram"][1, 0, 1]


def test_gram_sums_over_layers_unless_some_are_missing(written, tmp_path):
    run, rows, _ = written
    expected = [row["gram"].sum(0) for row in rows["gradients"]]
    np.testing.assert_array_equal(run.gram(), expected)
    writer = Writer(tmp_path / "some.h5", TASKS)
    writer.declare(standard("gradients", task=TASKS, layer=["a"]))
    writer.set_attributes("gradients", {"complete": False})
    writer.close()
    with pytest.raises(TrajlabError, match="some layers only"):
        Trajectory(writer.path).gram()


def test_a_mutated_array_changes_no_row(tmp_path):
    writer = Writer(tmp_path / "run.h5", TASKS)
    writer.declare(standard("losses", task=TASKS))
    loss = np.array([1.0, 2.0])
    writer.append("losses", {"step": 0, "loss": loss})
    loss[:] = 9
    writer.close()
    assert Trajectory(writer.path).table("losses")["loss"].tolist() == [[1, 2]]


def test_some_columns_of_a_table_keep_their_labels_and_what_they_are_known_by():
    axes = {"a": ("step", "task"), "b": ("step", "layer"), "c": ("step",)}
    columns = tuple(Column(name, of) for name, of in axes.items())
    table = Table("t", columns, {"task": ["x"], "layer": ["y", "z"]}, key=("step", "c"))
    assert table.only("a", "c").key == ("step", "c")
    assert table.only("a").key == ("step",)
    assert table.only("a").coordinates == {"task": ("x",)}
    assert table.only("b").coordinates == {"layer": ("y", "z")}
    assert [column.name for column in table.only("c", "a").columns] == ["c", "a"]
