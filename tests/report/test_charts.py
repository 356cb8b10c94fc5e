"""Interactive figures draw the numbers of the tables, and text of the runs stays text."""

import json
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.analysis.results import made_up
from tests.plots.test_conflict import result as made_conflict
from tests.plots.test_gap import result as made_gap
from trajlab.analysis import conflict, gap
from trajlab.report.charts import embed
from trajlab.report.charts.base import PALETTE, Panel, data, figure, labelled, look
from trajlab.report.charts.conflict import conflict as conflict_chart
from trajlab.report.charts.curves import MOST_CURVES, _thinned, curves
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


def pointed(unit: dict[str, Any]) -> list[str]:
    """What a mark tells when it is pointed at: titles, which are the fields but for underscores."""
    told = unit["encoding"]["tooltip"]
    assert all(each["title"] == each["field"].replace("_", " ") for each in told)
    return [each["title"] for each in told]


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
    points, large = panel.spec["layer"][-2:]
    assert pointed(points) == pointed(large) == ["series", "step", "cosine", "low", "high"]


def test_layers_are_a_map(runs: Runs) -> None:
    (panel,) = conflict_chart(conflict(runs, layers=True), {})
    assert panel.spec["mark"]["type"] == "rect"
    assert set(drawn(panel)["layer"]) == {"trunk"}
    assert pointed(panel.spec) == ["layer", "step", "cosine"]


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
    told = panel.spec["layer"][1]["encoding"]["tooltip"]
    assert [each["title"] for each in told] == ["series", "run", "task", "value", *along]
    calculated = [each.get("as") for each in panel.spec["transform"]]
    assert {each["field"] for each in told} <= {*table, *calculated}


@pytest.mark.parametrize(("noted", "names"), [("+b", {"no condition", "+b"}), ("", {"all runs"})])
def test_a_group_that_lacks_what_another_has_is_named_after_that(tmp_path, noted, names) -> None:
    for name, metadata in (("a", {}), ("b", {"condition": noted})):
        path = tmp_path / f"{name}.h5"
        with closing(Writer(path, ["t"], metadata=metadata, provenance={})) as writer:
            loss = Column("loss", ("step", "task"))
            writer.declare(Table("evaluations/train", (loss,), {"task": ["t"]}, kind="evaluation"))
            writer.append("evaluations/train", {"step": 0, "loss": np.array([1.0])})
    (panel,) = curves(load(tmp_path), ("condition",), {})
    assert set(panel.names) == names
    table = pd.DataFrame({"condition": ["", noted]})
    expected = ["no condition", noted] if noted else ["", ""]
    assert labelled(table, ("method", "condition"))["series"].tolist() == expected


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
    delta = pd.DataFrame([*rows, {**rows[0], "task": "u", "z": -12.0}, {**rows[0], "z": np.nan}])
    panel, other = factors_chart(made_up("factors", delta=delta), {"+b · m": 0})
    assert (panel.title, other.title) == ("t", "u")
    table = drawn(panel)
    assert table["place"].tolist() == [-3, 12]
    assert table["when"].tolist() == ["over whole runs", "at equal training loss"]
    assert table["series"].tolist() == ["+a · m", "+b · m"]
    told = [field["field"] for field in panel.spec["layer"][-1]["encoding"]["tooltip"]]
    assert set(told) <= set(table)
    assert table[["delta", "low", "high", "z"]].to_numpy().tolist() == [
        [2, 1, 3, 3],
        [-5, -6, -4, -40],
    ]
    assert panel.names == {"+b · m": ("●", PALETTE[0]), "+a · m": ("■", PALETTE[1])}
    *lines, point = panel.spec["layer"]
    assert [line["encoding"]["x"]["datum"] for line in lines] == [-2, 0, 2]
    assert [line["mark"]["strokeDash"] for line in lines] == [[2, 3], [1, 0], [2, 3]]
    assert pointed(point) == [*("series", "factor", "when", "delta", "low", "high", "p value", "z")]
    x, shown = point["encoding"]["x"], point["encoding"]["fillOpacity"]
    assert x["field"] == "place"
    assert x["scale"] == {"domain": [-13, 13]}
    assert x["title"][1] == "(right is better; marks at ±12 are beyond)"
    assert other.spec["layer"][-1]["encoding"]["x"]["title"][1] == "(right is better)"
    assert dict(zip(*shown["scale"].values(), strict=True)) == {
        "over whole runs": 1,
        "at equal training loss": 0,
    }
    assert panel.spec["description"] == (
        "Differences in standard errors, above 0 better. +a · m, hessian_top over whole runs: -3; "
        "+b · m, hessian_top at equal training loss: +12."
    )


def test_a_front_joins_what_was_chosen() -> None:
    points = pd.DataFrame(
        {"setting": "s", "method": ["sum", "sum", "pcgrad"], "chosen": [True, False, True]}
        | {"a.x": [1.0, 2.0, 3.0], "b": [3.0, 1.0, 2.0], "configuration": ["1", "2", "3"]}
    )
    made = made_up("front", points=points, objective={"a.x": "max", "b": "min"})
    (panel,) = front_chart(made, {})
    assert drawn(panel)[["x", "y"]].to_numpy().tolist() == [[1, 3], [2, 1], [3, 2]]
    line, point = panel.spec["layer"]
    for each in (line, point):
        x, y = each["encoding"]["x"], each["encoding"]["y"]
        assert (x["field"], x["title"]) == ("x", "a.x (more is better)")
        assert (y["field"], y["title"]) == ("y", "b (less is better)")
    assert line["transform"] == [{"filter": "datum.chosen"}]
    assert drawn(panel)["chosen"].tolist() == [True, False, True]
    assert point["encoding"]["fill"]["condition"]["test"] == "datum.chosen"
    assert point["encoding"]["fill"]["value"] == "transparent"
    assert panel.names == {"pcgrad": ("●", PALETTE[0]), "sum": ("■", PALETTE[1])}
    assert panel.spec["description"] == (
        "Configurations in a.x and b. pcgrad: 1 configurations on its front; "
        "sum: 1 configurations on its front."
    )
    titles = [each["title"] for each in point["encoding"]["tooltip"]]
    assert titles == ["chosen", "configuration", "series", "a.x", "b"]
    lacking = points.assign(**{"a.x": [np.nan, 2.0, 3.0]}, setting=["s", "s", "v"])
    first, second = front_chart(replace(made, points=lacking), {})
    assert [first.title, second.title] == ["s", "v"]
    assert drawn(first)[["x", "y"]].to_numpy().tolist() == [[2, 1]]


def test_a_gap_has_its_axes_bands_onset_and_ends_in_words() -> None:
    made = made_gap({"+same": 1, "+noisy": -2})
    made.summary.loc[1, "onset_loss"] = np.nan
    (panel,) = gap_chart(made, {"+noisy · uniform": 4})
    table = drawn(panel)
    assert list(panel.names) == ["+noisy · uniform", "+same · uniform"]
    assert panel.names["+noisy · uniform"] == ("▼", PALETTE[4])
    marked = table[table["onset"].astype(bool)]
    assert marked[["series", "train_loss", "gap"]].to_numpy().tolist() == [
        ["+same · uniform", 0.1, 1]
    ]
    assert panel.spec["description"] == (
        "Gap in accuracy to the baseline. +same · uniform: +3.1 [+2.1, +5.1] at equal training "
        "loss (L = 0.0009); +noisy · uniform: -6.2 [-7.2, -4.2] at equal training loss "
        "(L = 0.0009)."
    )
    zero, wide, narrow, line, points, onset = panel.spec["layer"]
    edges = [
        (each["encoding"]["y"]["field"], each["encoding"]["y2"]["field"]) for each in (wide, narrow)
    ]
    assert edges == [("band_low", "band_high"), ("low", "high")]
    assert zero["encoding"] == {"y": {"datum": 0}}
    for each in (line, points, onset):
        x, y = each["encoding"]["x"], each["encoding"]["y"]
        assert (x["field"], x["scale"]["type"], x["scale"]["reverse"]) == (
            "train_loss",
            "log",
            True,
        )
        assert x["axis"]["title"] == "training loss (falls from left to right)"
        assert x["type"] == y["type"] == "quantitative"
        assert (y["field"], y["title"]) == ("gap", "gap in accuracy (up is better)")
        low, high = y["scale"]["domain"]
        assert low < -7.2 < 5.1 < high < 6.5
    assert onset["transform"] == [{"filter": "datum.onset"}]
    assert pointed(points) == ["series", "train loss", "gap", "low", "high"]


def test_a_gap_along_a_clock_ends_at_its_latest_and_a_quantity_is_not_better() -> None:
    made = made_gap({"+same": 1}, x="compute/flops", loss="", metric="sharpness/value")
    made.summary["common_loss"] = 1.5
    made = replace(made, options=replace(made.options, x="compute/flops"))
    (panel,) = gap_chart(made, {})
    x, y = (panel.spec["layer"][3]["encoding"][way] for way in "xy")
    assert (x["field"], x["axis"]["title"], x["scale"]["reverse"]) == ("FLOPs", "FLOPs", False)
    assert y["title"] == "gap in sharpness/value (up is larger)"
    assert panel.spec["description"].endswith("+3.1 [+2.1, +5.1] at equal FLOPs (1.5 FLOPs).")


def test_each_group_has_the_cosines_and_corrected_ones_of_its_own_runs() -> None:
    both = [made_conflict("abc", condition=name) for name in ("+same", "+noisy")]
    pairs = pd.concat(
        [one.pairs.assign(run=one.pairs["condition"] + one.pairs["run"]) for one in both]
    )
    pairs.loc[pairs["condition"] == "+noisy", "cosine"] -= 0.5
    corrected = pairs.query("layer == 'all' and step == 4 and task_b == 'b'").copy()
    corrected["cosine"] += 0.3 + corrected["run"].str.endswith("1.h5") / 5
    panels = conflict_chart(replace(both[0], pairs=pairs, corrected=corrected), {})
    assert [panel.title for panel in panels] == ["+same", "+noisy"]
    for panel, shift in zip(panels, (0, -0.5), strict=True):
        table = drawn(panel)
        own = table["corrected"].astype(bool)
        assert table[own][["series", "step"]].to_numpy().tolist() == [["a – b", 4]]
        assert table.loc[own, "cosine"].iloc[0] == pytest.approx(shift + 0.4)
        lines = table[~own & (table["series"] == "a – c")]
        assert lines["step"].tolist() == list(range(20))
        assert lines["cosine"].to_numpy(float) == pytest.approx(0.1 + shift)
        spread = lines[["low", "high"]].to_numpy(float) - 0.1 - shift
        assert spread == pytest.approx(np.tile([-0.008, 0.008], (20, 1)), abs=2e-5)
        assert panel.spec["description"].startswith(
            "Mean cosine of the task gradients over training. "
            f"a – b: {shift:+.2f}; a – c: {0.1 + shift:+.2f}; b – c: {0.2 + shift:+.2f}"
        )
    _, band, line, points, large = panels[0].spec["layer"]
    filters = [each["transform"][0]["filter"] for each in (band, line, points, large)]
    assert filters == [*["!datum.corrected"] * 3, "datum.corrected"]
    assert (band["encoding"]["y"]["field"], band["encoding"]["y2"]["field"]) == ("low", "high")
    assert line["encoding"]["y"]["scale"] == {"domain": [-1, 1]}


def test_a_map_of_layers_has_fifty_windows_in_the_order_of_the_model() -> None:
    made = made_conflict("abc", steps=100, layers=True)
    second = made.pairs.query("layer == 'first'").assign(layer="a second")
    second["cosine"] = second["step"] / 100 - 0.75
    (panel,) = conflict_chart(replace(made, pairs=pd.concat([made.pairs, second])), {})
    table = drawn(panel).query("layer == 'a second'")
    windows = np.arange(0, 100, 2)
    assert table["step"].to_numpy(float) == pytest.approx(windows)
    assert table["cosine"].to_numpy(float) == pytest.approx((windows + 0.5) / 100 - 0.75, abs=1e-4)
    assert panel.spec["encoding"]["y"]["sort"] == ["first", "a second"]
    assert panel.spec["encoding"]["color"]["scale"]["domain"] == [-1, 1]
    said = "by layer, from -0.26 (a second) to +1.00 (first)."
    assert panel.spec["description"].endswith(said)


def test_curves_share_the_points_of_the_page() -> None:
    whole = pd.DataFrame({"step": range(0, 1000, 2), "loss": np.arange(500) / 3})
    for number, each in ((1, 60), (250, 60), (251, 59), (1250, 12), (2000, 12)):
        tables = {("g", f"r{i}", "t"): whole for i in range(number)}
        row, *_ = rows = _thinned(tables, {"c0": "step", "c1": "loss", "c2": "absent"})
        assert len(rows) == number
        assert (row["series"], row["run"], row["task"]) == ("g", "r0", "t")
        assert len(row["c0"]) == each
        assert (row["c0"][0], row["c0"][-1], row["c1"][-1]) == (0, 998, 166.33)
        assert row["c2"] == [None] * each


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
