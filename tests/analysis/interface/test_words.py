"""What stands in tables and sentences: names of axes, numbers with intervals, heads of rows."""

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.interface.tables import Head, parts, records
from trajlab.analysis.interface.words import estimate, percent, span, term, term_numbers
from trajlab.errors import TrajlabError

NAN = np.nan


@pytest.mark.parametrize(
    ("axis", "name", "short", "at", "columns", "place"),
    [
        (Axis(), "training loss", "training loss", "L = 0.023", ("loss", "train/loss"), "train"),
        (
            Axis(loss="validation/soft_error"),
            "validation soft error",
            "validation soft error",
            "L = 0.023",
            ("loss", "validation/soft_error"),
            "validation",
        ),
        (
            Axis(loss="losses"),
            "running training loss (of the batches trained on, averaged over an epoch)",
            "running training loss",
            "L = 0.023",
            ("loss", "losses"),
            None,
        ),
        (Axis("step"), "steps", "steps", "0.02345 steps", ("step", ""), "train"),
        (Axis("compute/flops"), "FLOPs", "FLOPs", "0.02345 FLOPs", ("compute/flops", ""), "train"),
        (Axis("gpu_hours"), "gpu hours", "gpu hours", "0.02345 gpu hours", ("gpu_hours", ""), None),
    ],
)
def test_an_axis_has_words_columns_and_a_way(axis, name, short, at, columns, place):
    assert (axis.name, axis.short, axis.at(0.0234519)) == (name, short, at)
    assert axis.equal(0.0234519) == f"equal {name} ({at})"
    assert axis.columns == dict(zip(("x", "loss"), columns, strict=True))
    assert Axis.of(axis.columns) == (axis if axis.is_loss else Axis(axis.x))
    assert axis.value(axis.log_level([0.1, 20.0])) == pytest.approx([0.1, 20])
    way = 1 if axis.x == "loss" else -1
    assert axis.log_level(1000.0) == pytest.approx(3 * way)  # a clock's level falls
    if place and axis.is_loss:
        assert axis.column == (f"evaluations/{place}", axis.loss.partition("/")[2])
    assert Axis(loss="losses").column == ("losses", "loss")


@pytest.mark.parametrize("loss", ["loss", "/loss", "train/", ""])
def test_a_loss_needs_a_split_and_a_metric(loss):
    with pytest.raises(TrajlabError, match="is unknown; use split/metric"):
        Axis(loss=loss)
    assert Axis.of({"x": None, "loss": ""}) == Axis.of({}) == Axis()


def test_numbers_have_signs_intervals_and_those_that_have_the_ends():
    rows = [
        {"task": task, "delta": value, "delta_low": low, "delta_high": value + 1}
        | {"delta_p_adjusted": 0.25, "low": -0.5, "high": 0.12345, "pair": task * 2}
        for task, value, low in (("a", 1.23456, 0.5), ("b", -2.0, NAN), ("c", 0.0, -1.0))
    ]
    assert estimate(rows[0], "delta") == "+1.23 [-0.5, +0.123]"
    assert [term(row, "delta") for row in rows] == ["+1.23 [+0.5, +2.23]", "-2", "+0 [-1, +1]"]
    names = ("delta", "delta_low", "delta_high", "delta_p_adjusted")
    assert term_numbers(rows[0], "delta") == {name: rows[0][name] for name in names}
    numbers = {"lowest": -2.0, "highest": 1.23456}
    assert span(rows, "delta") == ("from -2 (b) to +1.23 (a)", numbers)
    assert span(rows, "delta", "pair") == ("from -2 (bb) to +1.23 (aa)", numbers)
    assert [percent(share) for share in (0.21, 0.000123, 1)] == ["21 %", "0.0123 %", "100 %"]


def test_a_head_stands_in_front_and_what_a_table_has_itself_stays():
    keys = {"setting": "s", "condition": "", "method": "m", "lr": "0.1"}
    head = Head(keys=keys, task="t", baseline="method=b", n_baseline=2, n_runs=3)
    counts = {"baseline": "method=b", "n_baseline": 2, "n_runs": 3}
    assert head.row("why", x=1) == {**keys, "task": "t", **counts, "x": 1, "reason": "why"}
    assert Head(keys=keys).columns == {**keys, "baseline": "", "n_baseline": 0, "n_runs": 0}
    frame = pd.DataFrame({"x": [1, 2], "n_runs": [7, 8]})
    above = head.above(frame)
    assert list(above) == [*keys, "task", *counts, "x"]
    assert above["n_runs"].tolist() == [7, 8]
    assert records(above)[1] == {**keys, "task": "t", **counts, "n_runs": 8, "x": 2}
    for taken in ("task", "baseline", "n_baseline", "n_runs", "reason", "x"):
        named = Head(keys={**keys, taken: "1"})
        with pytest.raises(TrajlabError, match=f"metadata {taken} cannot .* such as {taken}_setti"):
            named.row(x=1)
        with pytest.raises(TrajlabError, match=f"metadata {taken} cannot"):
            named.above(frame)
    Head(keys=keys).row(method="m")  # a table may say again what every table has
    split = list(parts(pd.DataFrame({"a": [2, 1, 2], "x": [1, 2, 3]}), ["a"]))
    assert [part["x"].tolist() for part in split] == [[1, 3], [2]]
    assert list(parts(pd.DataFrame(), ["a"])) == []
