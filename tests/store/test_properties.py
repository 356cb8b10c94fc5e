"""Whatever is written, in whatever portions and sessions, reads as a plain model of it says."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trajlab.store import Column, Table, Trajectory, Writer
from trajlab.store.table import RESERVED

few = settings(max_examples=15, deadline=None)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0/."), min_size=1, max_size=5
)
LABELS = st.one_of(
    st.lists(TEXT, min_size=1, max_size=3, unique=True),
    st.lists(st.integers(-5, 5), min_size=1, max_size=3, unique=True),
    st.lists(st.floats(), min_size=1, max_size=3),
)
FACTS = st.dictionaries(
    NAMES.filter(lambda name: name not in RESERVED),
    st.one_of(
        TEXT,
        st.integers(-5, 5),
        st.booleans(),
        st.floats(allow_nan=False),
        st.lists(TEXT, max_size=3),
    ),
    max_size=2,
)
DTYPES = {
    "float64": st.floats(),
    "float32": st.floats(width=32),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint8": st.integers(0, 255),
    "bool": st.booleans(),
    "str": TEXT,
}


@st.composite
def tables(draw):
    names = draw(
        st.lists(NAMES, min_size=4, max_size=4, unique=True).filter(lambda n: "step" not in n)
    )
    axes = {name: draw(LABELS) for name in names[:2]}
    columns = [
        Column(
            name,
            ("step", *draw(st.lists(st.sampled_from(names[:2]), unique=True, max_size=2))),
            draw(st.sampled_from(list(DTYPES))),
            draw(TEXT),
            draw(TEXT),
            draw(FACTS),
        )
        for name in names[2:]
    ]
    used = {axis for column in columns for axis in column.axes}
    labels = {axis: values for axis, values in axes.items() if axis in used}
    return Table("table", tuple(columns), labels, draw(FACTS))


@st.composite
def values(draw, table, column):
    shape = table.shape(column)
    if column.dtype == "str":
        flat = draw(st.lists(TEXT, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        array = np.empty(shape, object)
        array.flat = flat
    else:
        array = draw(arrays.arrays(column.dtype, shape, elements=DTYPES[column.dtype]))
    return array if shape else array.item()


@few
@given(st.data())
def test_any_table_in_any_portions(data):
    table = data.draw(tables())
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Path(folder) / "run.h5", ["task"])
        writer.declare(table)
        for step in range(data.draw(st.integers(0, 5))):
            row = {"step": step}
            for column in table.columns:
                if data.draw(st.booleans()):
                    row[column.name] = data.draw(values(table, column))
            rows.append(row)
            writer.append("table", row)
            if data.draw(st.booleans()):
                writer.flush()
        writer.flush()
        in_parts = Trajectory(writer.path)
        writer.close()
        for run in (in_parts, Trajectory(writer.path)):
            read = run.table("table")
            assert replace(read.declared, coordinates={}) == replace(table, coordinates={})
            assert read["step"].tolist() == list(range(len(rows)))
            for axis, labels in table.coordinates.items():
                np.testing.assert_array_equal(read[axis], np.array(labels, read[axis].dtype))
            for column in table.columns:
                expected = np.full((len(rows), *table.shape(column)), column.fill, column.storage)
                for i, row in enumerate(rows):
                    if column.name in row:
                        expected[i] = row[column.name]
                assert read[column.name].dtype == column.storage
                np.testing.assert_array_equal(read[column.name], expected)
            assert len(run.frame("table")) == len(rows) * np.prod(
                [len(labels) for labels in table.coordinates.values()]
            )


SESSIONS = st.lists(
    st.tuples(
        st.none() | st.integers(0, 6),  # the step to rewind to
        st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1), st.booleans()), max_size=6),
        st.booleans(),  # closed, or killed after a flush
    ),
    min_size=1,
    max_size=4,
)


@few
@given(SESSIONS, st.sampled_from(["training", "evaluation"]))
def test_sessions_supersede_each_other_as_the_format_says(sessions, kind):
    table = Table(
        "table", (Column("micro", dtype="int64"), Column("value")), key=("step", "micro"), kind=kind
    )
    model = []
    value = 0
    with tempfile.TemporaryDirectory() as folder:
        for i, (rewind, rows, closed) in enumerate(sessions):
            writer = Writer(
                Path(folder) / "run.h5", ["task"], resume=True, from_step=rewind if i else None
            )
            if i and rewind is not None:
                limit = rewind + (kind == "evaluation")
                model = [row for row in model if row[0] < limit]
            writer.declare(table)
            for step, micro, flush in rows:
                value += 1
                writer.append("table", {"step": step, "micro": micro, "value": value})
                model = [row for row in model if row[:2] != (step, micro)]
                model.append((step, micro, value))
                if flush:
                    writer.flush()
            writer.flush()
            if closed:
                writer.close("recording")
            else:
                writer._lock.release()
            read = Trajectory(writer.path).table("table")
            found = zip(read["step"], read["micro"], read["value"], strict=True)
            assert [tuple(row) for row in found] == model
