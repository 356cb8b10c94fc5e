"""Interactive figures draw the numbers of the tables, and text of the runs stays text."""

import json
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from tests.analysis.results import made_up
from trajlab.analysis import conflict, gap
from trajlab.report.charts import embed
from trajlab.report.charts.base import PALETTE, Panel, data, figure, look
from trajlab.report.charts.conflict import conflict as conflict_chart
from trajlab.report.charts.curves import MOST_CURVES, curves
from trajlab.report.charts.factors import factors as factors_chart
from trajlab.report.charts.front import front as front_chart
from trajlab.report.charts.gap import gap as gap_chart
from trajlab.store import Column, Runs, Table, Writer, load

NAMES = ["single", "uniform"]


def drawn(panel: Panel) -> pd.DataFrame:
    """The points of a figure, one row each."""
    table = pd.DataFrame(panel.spec["data"]["values"])
    (lists,) = (each["flatten"] for each in panel.spec["transform"] if "flatten" in each)
    return table.explode(lists, ignore_index=True).infer_objects()


def of_curves(panel: Panel) -> pd.DataFrame:
    """One row a curve."""
    return pd.DataFrame(panel.spec["data"]["values"])


def test_the_gap_is_the_curve_of_the_table(runs: Runs) -> None:
    result = gap(runs)
    (panel,) = gap_chart(result, {})
    table, curve = drawn(panel), result.curve.dropna(subset=["gap"])
    end, table = table.iloc[-1], table.iloc[:-1]
    told = result.summary[["common_loss", "matched", "matched_low", "matched_high"]].iloc[0]
    assert end[["train_loss", "gap", "low", "high"]].tolist() == pytest.approx(list(told), rel=1e-4)
    assert table["gap"].to_numpy() == pytest.approx(curve["gap"].to_numpy(), rel=1e-4)
    assert table["train_loss"].to_numpy() == pytest.approx(curve["train_loss"], rel=1e-4)
    assert list(panel.names) == ["uniform"]
    onset = result.summary["onset_loss"].dropna().iloc[0]
    assert table.loc[table["onset"].astype(bool), "train_loss"].tolist() == [
        pytest.approx(onset, rel=1e-4)
    ]


def test_cosines_are_means_over_windows(runs: Runs) -> None:
    result = conflict(runs)
    (panel,) = conflict_chart(result, {})
    table, pairs = drawn(panel), result.pairs.query("layer == 'all'")
    assert table["step"].nunique() == pairs["step"].nunique()
    expected = pairs.groupby("step")["cosine"].mean()
    assert table["cosine"].to_numpy(float) == pytest.approx(expected.to_numpy(), rel=1e-4)
    assert list(panel.names) == ["left – right"]


def test_layers_are_a_map(runs: Runs) -> None:
    (panel,) = conflict_chart(conflict(runs, layers=True), {})
    assert panel.spec["mark"]["type"] == "rect"
    assert set(drawn(panel)["layer"]) == {"trunk"}


def chosen(panel: Panel, name: str) -> dict[str, str]:
    """The choices of a selection: by what is read, the field that holds it."""
    bind = next(each["bind"] for each in panel.spec["params"] if each["name"] == name)
    return dict(zip(bind["labels"], bind["options"], strict=True))


def test_curves_hold_each_run_and_axis(runs: Runs) -> None:
    (panel,) = curves(runs, ("method",), {})
    table = of_curves(panel)
    (row,) = table[(table["run"] == "uniform1.h5") & (table["task"] == "right")].to_dict("records")
    run = next(run for run in runs if run.path.name == "uniform1.h5")
    shown, along = chosen(panel, "shown"), chosen(panel, "along")
    assert list(along) == ["step", "training loss"]
    for name, split, column in (
        ("test accuracy", "test", "accuracy"),
        ("training loss", "train", "loss"),
    ):
        recorded = run.frame(f"evaluations/{split}").query("task == 'right'")[column]
        assert row[shown[name]] == pytest.approx(recorded.to_numpy(), rel=1e-4)
    assert row[along["training loss"]] == row[shown["training loss"]]
    assert list(chosen(panel, "task")) == ["left", "right"]


def test_curves_run_along_every_clock_that_was_recorded(tmp_path) -> None:
    with closing(Writer(tmp_path / "a.h5", ["t"], metadata={}, provenance={})) as writer:
        loss = Column("loss", ("step", "task"))
        writer.declare(Table("evaluations/train", (loss,), {"task": ["t"]}, kind="evaluation"))
        writer.declare(Table("compute", (Column("tokens"), Column("flops"))))
        for step in range(0, 30, 10):
            writer.append("evaluations/train", {"step": step, "loss": np.array([1 / (step + 1)])})
        for step in range(0, 11, 10):  # the last evaluation comes after the last reading
            writer.append("compute", {"step": step, "tokens": 512 * step, "flops": 10 - step})
    (panel,) = curves(load(tmp_path), (), {})
    along = chosen(panel, "along")
    assert list(along) == ["step", "training loss", "tokens"]  # what falls is no clock
    assert of_curves(panel)[along["tokens"]].tolist() == [[0, 5120, None]]


def test_evaluations_at_other_steps_stand_at_their_own(tmp_path) -> None:
    with closing(Writer(tmp_path / "a.h5", ["t"], metadata={}, provenance={})) as writer:
        for split, steps in (("train", (0, 2)), ("test", (1, 2))):
            loss = Table(
                f"evaluations/{split}", (Column("loss", ("step", "task")),), {"task": ["t"]}
            )
            writer.declare(loss)
            for step in steps:
                writer.append(
                    f"evaluations/{split}", {"step": step, "loss": np.array([step + 1.0])}
                )
    (panel,) = curves(load(tmp_path), (), {})
    row, shown = of_curves(panel).iloc[0], chosen(panel, "shown")
    assert row[chosen(panel, "along")["step"]] == [0, 1, 2]
    assert row[shown["training loss"]] == [1, None, 3]
    assert row[shown["test loss"]] == [None, 2, 3]


def test_many_runs_are_thinned_by_group_and_told(runs: Runs) -> None:
    many = [run for run in runs for _ in range(MOST_CURVES // 2)]
    (panel,) = curves(many, ("method",), {})
    number = int(panel.title.split()[0])
    assert panel.title == f"{number} of {len(many)} runs"
    table = of_curves(panel)
    assert set(table["series"]) == set(NAMES)
    assert set(table["run"]) == {run.path.name for run in runs}  # not the first ones alone


def test_a_group_has_its_colour_whatever_else_is_drawn() -> None:
    places = {"a": 0, "b": 1, "c": 2}
    alone, together = look(["c"], places), look(["c", "a"], places)
    assert alone.names["c"] == together.names["c"] == ("▲", PALETTE[2])
    assert together.color["scale"] == {"domain": ["a", "c"], "range": [PALETTE[0], PALETTE[2]]}


def test_factors_stand_where_better_is_right() -> None:
    rows = [
        {"setting": "s", "condition": c, "method": "m", "task": "t", "factor": "hessian_top"}
        | {"metric": "", "at": at, "delta": d, "low": d - 1, "high": d + 1, "p_value": 0.1}
        | {"z": z, "better": -1}
        for c, at, d, z in (("+a", "end", 2.0, 3.0), ("+b", "matched", -5.0, -40.0))
    ]
    (panel,) = factors_chart(made_up("factors", delta=pd.DataFrame(rows)), {})
    table = drawn(panel)
    assert table["place"].tolist() == [-3, 12]
    assert table["when"].tolist() == ["over whole runs", "at equal training loss"]


def test_a_front_joins_what_was_chosen() -> None:
    points = pd.DataFrame(
        {"setting": "s", "method": ["sum", "sum", "pcgrad"], "chosen": [True, False, True]}
        | {"a.x": [1.0, 2.0, 3.0], "b": [3.0, 1.0, 2.0], "configuration": ["1", "2", "3"]}
    )
    made = made_up("front", points=points, objective={"a.x": "max", "b": "min"})
    (panel,) = front_chart(made, {})
    assert drawn(panel)[["x", "y"]].to_numpy().tolist() == [[1, 3], [2, 1], [3, 2]]
    assert panel.spec["layer"][0]["encoding"]["y"]["title"] == "b (less is better)"


def test_numbers_are_short_and_what_is_not_finite_is_null() -> None:
    table = pd.DataFrame({"a": [1 / 3, np.nan, 2.0], "b": [True, False, True], "c": list("xyz")})
    written = data(table.assign(series=["m", "m", "n"]), ["series", "a", "b", "c", "absent"])
    assert written == [
        {"series": "m", "a": [0.33333, None], "b": [True, False], "c": ["x", "y"]},
        {"series": "n", "a": [2], "b": [True], "c": ["z"]},
    ]


def test_names_cannot_leave_their_element() -> None:
    name = "</script><script>alert(1)</script>"
    panel = Panel(
        "",
        figure(data(pd.DataFrame({"series": [name]}), ["series"]), "", mark="point", encoding={}),
        {},
    )
    text = embed.data(panel)
    assert "<" not in text
    assert json.loads(text)["data"]["values"][0]["series"] == name
