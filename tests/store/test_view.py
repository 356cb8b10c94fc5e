"""One table of a run, read in every way there is, against the rows that were written."""

import numpy as np
import pytest

from tests.runs import finish
from trajlab.errors import TrajlabError
from trajlab.store import Column, Table, Trajectory, Writer
from trajlab.store.table import AbsentError

TASKS = ["a", "b"]
TABLE = Table(
    "custom",
    (
        Column("x", ("step", "task"), units="s", description="what it is", attributes={"k": 2}),
        Column("n", dtype="int64"),
    ),
    {"task": TASKS},
    {"mode": "training"},
)


@pytest.fixture(params=["parts", "sealed"])
def run(tmp_path, request):
    """Steps 0 to 6 in flushes of 3, 1 and 3 rows; from step 5 on a second session, with `late`."""
    writer = Writer(tmp_path / "run.h5", TASKS)
    writer.declare(TABLE)
    for step in range(7):
        writer.append("custom", {"step": step, "x": [step, 10 * step], "n": step})
        if step in (2, 3, 6):
            writer.flush()
    finish(writer, close=False)
    writer = Writer(tmp_path / "run.h5", TASKS, resume=True, from_step=5)
    writer.declare(Table("custom", (Column("late"),)))
    for step in (5, 6, 7):
        writer.append("custom", {"step": step, "x": [-step, 0], "n": -step, "late": step / 2})
    writer.flush()
    return Trajectory(finish(writer, close=request.param == "sealed"))


STEPS = np.arange(8)
X = np.array([[s, 10 * s] if s < 5 else [-s, 0] for s in STEPS], float)
LATE = np.where(STEPS < 5, np.nan, STEPS / 2)


def test_what_a_later_session_superseded_is_left_out_of_every_column(run):
    table = run.table("custom")
    assert table.length == 8
    assert table["step"].tolist() == STEPS.tolist()
    assert table["n"].tolist() == [0, 1, 2, 3, 4, -5, -6, -7]
    np.testing.assert_array_equal(table["x"], X)
    np.testing.assert_array_equal(table["late"], LATE)


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize(("kind", "last"), [("training", 2), ("evaluation", 3)])
def test_the_deepest_of_several_rewinds_holds(tmp_path, kind, last, close):
    """The second session goes on from step 3, the third from 7: of the first, 3 to 6 are gone."""
    for session, (rewind, steps) in enumerate(((None, range(9)), (3, [5]), (7, [7]))):
        resume = {} if rewind is None else {"resume": True, "from_step": rewind}
        writer = Writer(tmp_path / "run.h5", TASKS, **resume)
        writer.declare(Table("custom", (Column("session", dtype="int64"),), kind=kind))
        for step in steps:
            writer.append("custom", {"step": step, "session": session})
        writer.flush()
        finish(writer, close=close)
    table = Trajectory(tmp_path / "run.h5").table("custom")
    kept = range(last + 1)
    assert table["step"].tolist() == [*kept, 5, 7]
    assert table["session"].tolist() == [*[0] * len(kept), 1, 2]


@pytest.mark.parametrize("size", [1, 16, 17, 32, 48, 64, 2**20])
def test_portions_are_as_large_as_asked_for_and_no_larger(run, size):
    portions = list(run.table("custom").portions("x", size))
    np.testing.assert_array_equal(np.concatenate(portions), X)
    assert max(part.nbytes for part in portions) <= max(size, X[0].nbytes)
    assert all(one.nbytes + two.nbytes > size for one, two in zip(portions, portions[1:]))  # noqa: B905, RUF007


@pytest.mark.parametrize("every", [1, 2, 3, 7, 8, 9])
@pytest.mark.parametrize("size", [1, 40, 2**20])
def test_rows_are_thinned_across_portions(run, monkeypatch, every, size):
    monkeypatch.setattr(type(run.table("custom")).portions, "__defaults__", (size,))
    found = np.concatenate(list(run.table("custom").thinned("x", every)))
    np.testing.assert_array_equal(found, X[::every])


@pytest.mark.parametrize(
    "chosen", [[0], [7], [2, 3], [3, 4], [4, 5], [7, 0, 3], [6, 5], [1, 1], [0, 2, 4], range(8), []]
)
def test_chosen_rows_are_those_of_all_rows(run, chosen):
    chosen = np.array(chosen, int)
    table = run.table("custom")
    np.testing.assert_array_equal(table.at("x", chosen), X[chosen])
    np.testing.assert_array_equal(table.at("late", chosen), LATE[chosen])
    assert table.at("step", chosen).tolist() == chosen.tolist()


def test_it_is_a_mapping_of_its_axes_and_columns(run):
    table = run.table("custom")
    assert list(table) == ["step", "task", "x", "n", "late"]
    assert len(table) == 5
    assert "task" in table
    assert "y" not in table
    assert table["task"].tolist() == TASKS
    assert table["task"].dtype == object
    assert (table.axes("x"), table.axes("task")) == (("step", "task"), ("task",))
    assert table.attributes == {"mode": "training"}
    facts = {"units": "s", "description": "what it is", "k": 2}
    assert table.column_attributes("x") == facts
    assert repr(table).startswith("Table custom of ")
    assert repr(table).endswith("run.h5: x (step, task), n (step), late (step)")


def test_what_is_not_there_is_named_beside_what_is(run):
    table = run.table("custom")
    for read in (table.__getitem__, lambda name: list(table.portions(name)), table.axes):
        with pytest.raises(AbsentError, match="y"):
            read("y")
    with pytest.raises(AbsentError, match="has no table 'other'; it has custom"):
        run.table("other")


def test_of_rows_with_one_key_the_last_written_holds_and_of_none_all(tmp_path):
    """Of evaluations of one step one holds; of a table with a further key, one of each."""
    for key, kept in (((), [1.0, 2.0]), (("n",), [0.0, 1.0, 2.0])):
        table = Table("custom", TABLE.columns, TABLE.coordinates, key=("step", *key))
        writer = Writer(tmp_path / f"{len(key)}.h5", TASKS)
        writer.declare(table)
        for step, n, x in ((0, 0, 0.0), (0, 1, 1.0), (3, 0, 2.0)):
            writer.append("custom", {"step": step, "n": n, "x": [x, x]})
            writer.flush()
        run = Trajectory(finish(writer, close=False))
        assert run.table("custom")["x"][:, 0].tolist() == kept


def test_a_table_without_rows_has_columns_without_rows(tmp_path):
    writer = Writer(tmp_path / "run.h5", TASKS)
    writer.declare(TABLE)
    for close in (False, True):
        writer.flush()
        table = Trajectory(finish(writer, close=close)).table("custom")
        assert table.length == 0
        assert table["x"].shape == (0, 2)
        assert [part.shape for part in table.portions("x")] == [(0, 2)]
        assert table.at("x", np.array([], int)).shape == (0, 2)
        writer = Writer(tmp_path / "run.h5", TASKS, resume=True)
        writer.declare(TABLE)
    finish(writer, close=True)


@pytest.mark.parametrize(
    "axes", [("task",), ("task", "step"), (), ("step", "task", "task"), ("step", "step")]
)
def test_a_column_s_axes_are_distinct_and_begin_with_step(axes):
    assert Column("x", ("step", "task")).axes == ("step", "task")
    with pytest.raises(TrajlabError, match="give distinct axes that begin with step"):
        Column("x", axes)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("a", [1, 2], True),
        ("a", [[1, 2]], False),
        ("a", 1 + 2j, False),
        ("units", "m", False),
        ("a", True, True),
    ],
)
def test_facts_beside_a_column_are_flat_and_under_names_of_their_own(name, value, kept):
    if kept:
        assert Column("x", attributes={name: value}).attributes == {name: value}
        return
    with pytest.raises(TrajlabError, match="give text, a number, a flag or a flat list"):
        Column("x", attributes={name: value})
