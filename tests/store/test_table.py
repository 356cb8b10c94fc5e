"""What tables and columns may be, and how a later declaration joins an earlier one."""

from dataclasses import replace

import numpy as np
import pytest

from trajlab.errors import TrajlabError
from trajlab.store import Column, Table, Trajectory, Writer, standard
from trajlab.store.schema import FURTHER, STANDARD

TASKS = ["a", "b"]


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", 5, None, b"a"])
def test_what_is_no_text_that_hdf5_holds_is_refused_wherever_it_stands(bad, tmp_path):
    with pytest.raises(TrajlabError, match="is not text that can be stored; give plain text"):
        Column("x", units=bad)
    with pytest.raises(TrajlabError, match="is not text that can be stored; give plain text"):
        Column("x", description=bad)
    writer = Writer(tmp_path / "run.h5", TASKS)
    writer.declare(
        Table(
            "t",
            (Column("one", dtype="str"), Column("two", ("step", "task"), "str")),
            {"task": TASKS},
        )
    )
    for value in ({"one": bad}, {"two": ["a", bad]}, {"two": np.array(["a", bad], object)}):
        with pytest.raises(TrajlabError, match="is not text that can be stored"):
            writer.append("t", {"step": 0, **value})
    writer.append("t", {"step": 0, "one": "é", "two": ["", "b"]})
    writer.close()
    table = Trajectory(writer.path).table("t")
    assert (table["one"].tolist(), table["two"].tolist()) == (["é"], [["", "b"]])
    makes = [
        lambda: Table("t", (Column("x"),), attributes={"of": ["fine", bad]}),
        lambda: Table("t", (Column("x", ("step", "task")),), {"task": ["fine", bad]}),
    ]
    if isinstance(bad, str):
        makes += [
            lambda: Table(bad, (Column("x"),)),
            lambda: Table("t", (Column(bad),)),
            lambda: Table("t", (Column("x"),), attributes={"of": bad}),
        ]
    for make in makes:
        with pytest.raises(
            TrajlabError, match=r"is not text that can be st|of table t is .*; give"
        ):
            make()


@pytest.mark.parametrize("name", ["", ".", "a/", "/a", "a//b", "a/./b"])
def test_a_table_s_name_is_a_path_of_names(name):
    assert Table("a/b", (Column("x"),)).name == "a/b"
    with pytest.raises(TrajlabError, match="needs distinct column and axis names without slashes"):
        Table(name, (Column("x"),))


@pytest.mark.parametrize("columns", [("x", "x"), ("step",), ("task",), ("a/b",), ("",), (".",)])
def test_columns_and_axes_have_names_of_their_own(columns):
    labels = {"task": TASKS}
    assert Table("t", (Column("x"), Column("y")), labels).axes == ("step",)
    with pytest.raises(TrajlabError, match="needs distinct column and axis names without slashes"):
        Table("t", tuple(map(Column, columns)), labels)


def test_dtypes_and_coordinates_that_are_not_there_are_named():
    with pytest.raises(TrajlabError, match=r"dtype 'float16'; use one of float64, float32, int64"):
        Column("x", dtype="float16")
    table = Table("t", (Column("x", ("step", "task", "k")),), {"task": TASKS})
    with pytest.raises(TrajlabError, match="lacks the coordinates of axis k, which its column x"):
        table.shape(table.columns[0])


PLAIN = Table(
    "t",
    (Column("x", ("step", "layer", "rho")),),
    {"layer": ["one", "two"], "rho": [np.nan, 0.1]},
    {"seed": 1, "mode": "eval"},
    key=("step",),
)


def test_a_later_declaration_adds_columns_and_layers_and_renews_facts():
    later = replace(
        PLAIN,
        columns=(Column("y", dtype="int64"), replace(PLAIN.columns[0], units="s")),
        coordinates={"layer": ["two", "three"], "rho": [np.nan, 0.1], "k": [0]},
        attributes={"seed": 2, "more": True},
    )
    joined = PLAIN.joined(later)
    assert [(c.name, c.units) for c in joined.columns] == [("x", "s"), ("y", "")]
    assert joined.coordinates["layer"] == ("one", "two", "three")
    assert joined.coordinates["k"] == (0,)
    assert repr(joined.coordinates["rho"]) == "(nan, 0.1)"
    assert joined.attributes == {"seed": 2, "mode": "eval", "more": True}
    assert (joined.name, joined.key, joined.kind) == ("t", ("step",), "training")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"key": ("step", "x")}, "table t was declared with another key or kind"),
        ({"kind": "evaluation"}, "table t was declared with another key or kind"),
        (
            {"coordinates": {"layer": ["one"], "rho": [np.nan, 0.2]}},
            r"table t was declared with rho = \[nan, 0.1\], not \[nan, 0.2\]",
        ),
        (
            {"coordinates": {"layer": ["one"], "rho": [np.nan]}},
            r"table t was declared with rho = \[nan, 0.1\], not \[nan\]",
        ),
        (
            {"coordinates": {"layer": ["one"], "rho": range(20)}},  # few enough to be shown
            r"rho = \[nan, 0.1\], not \[0, 1, 2, 3, 4, .* 19\]",
        ),
        (
            {"coordinates": {"layer": ["one"], "rho": range(21)}},
            "table t was declared with 2 labels of axis rho, not 21; give as many each time",
        ),
        (
            {"columns": (Column("x", ("step", "rho")),)},
            r"column x of table t was declared as float64 \('step', 'layer', 'rho'\), not float64 ",
        ),
        (
            {"columns": (replace(PLAIN.columns[0], dtype="float32"),)},
            r"column x of table t was declared as float64 .*, not float32 ",
        ),
    ],
)
def test_a_declaration_that_contradicts_the_earlier_one_is_refused(change, sentence):
    with pytest.raises(TrajlabError, match=sentence):
        PLAIN.joined(replace(PLAIN, **change))


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("close", [False, True])
def test_rows_that_wait_get_the_layers_that_come_later(tmp_path, flushed, close):
    """What they lack is 0 where the column says so, else what stands for nothing."""

    def table(*layers):
        return Table(
            "t",
            (
                Column("gram", ("step", "layer"), attributes={"unlisted": 0.0}),
                Column("top", ("step", "layer")),
                Column("n", ("step", "layer"), "int32"),
                Column("why", ("step", "layer"), "str"),
                Column("whole"),
            ),
            {"layer": layers},
        )

    def row(step, *values):
        listed = list(values)
        return {
            "step": step,
            "gram": listed,
            "top": listed,
            "n": listed,
            "why": [f"{v}" for v in values],
        }

    writer = Writer(tmp_path / "run.h5", TASKS)
    writer.declare(table("one", "two"))
    writer.append("t", {**row(0, 1, 2), "whole": 5.0})
    writer.append("t", {"step": 1, "gram": [3, 4]})
    if flushed:
        writer.flush()
    writer.declare(table("one", "three"))
    writer.append("t", row(2, 5, 6, 7))
    writer.flush()
    if close:
        writer.close()
    found = Trajectory(writer.path).table("t")
    assert found["layer"].tolist() == ["one", "two", "three"]
    assert found["gram"].tolist() == [[1, 2, 0], [3, 4, 0], [5, 6, 7]]
    nothing = [np.nan] * 3
    np.testing.assert_array_equal(found["top"], [[1, 2, np.nan], nothing, [5, 6, 7]])
    assert found["n"].tolist() == [[1, 2, -1], [-1] * 3, [5, 6, 7]]
    assert found["why"].tolist() == [["1", "2", ""], ["", "", ""], ["5", "6", "7"]]
    np.testing.assert_array_equal(found["whole"], [5, np.nan, np.nan])
    if not close:
        writer.close()


def test_every_standard_column_says_what_it_is_and_times_their_unit():
    columns = [
        (f"{table.name}.{column.name}", column)
        for table in STANDARD.values()
        for column in (*table.columns, *FURTHER.get(table.name, ()))
    ]
    assert not [name for name, column in columns if not column.description]
    assert {name: c.units for name, c in columns if c.units} == {"losses.wall_time": "s"}
    assert {name for name, c in columns if c.attributes.get("unlisted") == 0} == {
        "gradients.gram",
        "gradients.gram_se",
    }


def test_a_standard_table_has_the_further_columns_that_are_named_and_no_others():
    table = standard("losses", "skipped", "loss", task=TASKS)
    assert [column.name for column in table.columns][-2:] == ["weight", "skipped"]
    assert standard("gradients", task=TASKS, layer=["x"]).coordinates["other_task"] == ("a", "b")
    assert "other_task" not in standard("losses", task=TASKS).coordinates
    assert standard("evaluations/validation", task=TASKS).kind == "evaluation"
    with pytest.raises(TrajlabError, match="table losses has no column 'gram_se'"):
        standard("losses", "gram_se", task=TASKS)
    for name in ("loss", "evaluations/dev"):
        with pytest.raises(TrajlabError, match=r"is no standard table; there are losses, .* and "):
            standard(name, task=TASKS)


def test_a_flush_comes_with_so_many_numbers_or_so_many_seconds(tmp_path, monkeypatch):
    """Of a step, a number and two of an axis each row counts 32 bytes."""
    now = [100.0]
    monkeypatch.setattr("trajlab.store.writer.time.monotonic", lambda: now[0])
    monkeypatch.setattr("trajlab.store.writer.FLUSH_BYTES", 3 * 32)
    monkeypatch.setattr("trajlab.store.writer.INTERVAL", 10.0)
    writer = Writer(tmp_path / "run.h5", TASKS)
    writer.declare(
        Table("t", (Column("n", dtype="int32"), Column("x", ("step", "task"))), {"task": TASKS})
    )
    written = []
    for step in range(11):
        if step == 7:
            now[0] += 9.9
        elif step == 8:
            now[0] += 0.1
        writer.append("t", {"step": step})
        written.append(len(writer._buffers["t"].rows))  # of those that wait
    assert written == [1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]
    now[0] += 9.9
    writer.append("t", {"step": 11})
    now[0] += 0.0
    assert len(writer._buffers["t"].rows) == 0
    writer.append("t", {"step": 12})
    now[0] += 10.0
    writer.append("t", {"step": 13})
    assert len(writer._buffers["t"].rows) == 0
    writer.close()
    assert Trajectory(writer.path).table("t")["step"].tolist() == list(range(14))


def test_matrices_are_read_a_few_at_a_time_and_left_out_between(tmp_path):
    writer = Writer(tmp_path / "run.h5", TASKS)
    writer.declare(standard("gradients", task=TASKS, layer=["one", "two"]))
    grams = np.random.default_rng(0).normal(size=(7, 2, 2, 2))
    for step, gram in enumerate(grams):
        writer.append("gradients", {"step": step, "gram": gram})
    writer.close()
    run = Trajectory(writer.path)
    np.testing.assert_array_equal(run.gram(), grams.sum(1))
    np.testing.assert_array_equal(run.gram(every=3), grams[::3].sum(1))


@pytest.mark.parametrize("close", [False, True])
def test_single_precision_ends_at_its_largest_number_and_holds_infinities(tmp_path, close):
    largest = float(np.finfo(np.float32).max)
    writer = Writer(tmp_path / "run.h5", TASKS)
    writer.declare(Table("t", (Column("x", dtype="float32"),)))
    held = [largest, -largest, np.inf, -np.inf]
    for step, value in enumerate(held):
        writer.append("t", {"step": step, "x": value})
    for beyond in (largest * (1 + 1e-9), -largest * (1 + 1e-9)):
        with pytest.raises(TrajlabError, match="it is too large for float32"):
            writer.append("t", {"step": 9, "x": beyond})
    writer.declare(Table("pair", (Column("y", ("step", "task"), "float32"),), {"task": TASKS}))
    with pytest.raises(TrajlabError, match="it is too large for float32"):
        writer.append("pair", {"step": 9, "y": [1.0, 2 * largest]})  # one of them
    writer.flush()
    if close:
        writer.close()
    assert Trajectory(writer.path).table("t")["x"].tolist() == held
    if not close:
        writer.close()


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("labels", [0, 1, 2])
def test_rows_of_texts_over_no_labels_or_one_are_rows(tmp_path, labels, close):
    writer = Writer(tmp_path / "run.h5", TASKS)
    axis = {"layer": range(labels)}
    writer.declare(Table("t", (Column("why", ("step", "layer"), "str"),), axis))
    texts = np.array([["a", "b"], ["", "c"], ["d", ""]], object)[:, :labels]
    for step, row in enumerate(texts):
        writer.append("t", {"step": step, "why": row})
    writer.flush()
    if close:
        writer.close()
    table = Trajectory(writer.path).table("t")
    assert table["why"].tolist() == texts.tolist()
    assert table["step"].tolist() == [0, 1, 2]
    if not close:
        writer.close()
