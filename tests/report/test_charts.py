"""Interactive figures draw the numbers of the tables, and text of the runs stays text."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.analysis.results import made_up
from trajlab.analysis import conflict, gap
from trajlab.report.charts import embed
from trajlab.report.charts.base import PALETTE, Panel, figure, look, values
from trajlab.report.charts.conflict import conflict as conflict_chart
from trajlab.report.charts.curves import MOST_RUNS, curves
from trajlab.report.charts.factors import factors as factors_chart
from trajlab.report.charts.front import front as front_chart
from trajlab.report.charts.gap import gap as gap_chart
from trajlab.store import Runs

NAMES = ["single", "uniform"]


def drawn(panel: Panel) -> pd.DataFrame:
    return pd.DataFrame(panel.spec["data"]["values"])


def test_the_gap_is_the_curve_of_the_table(runs: Runs) -> None:
    result = gap(runs)
    (panel,) = gap_chart(result, {})
    table, curve = drawn(panel), result.curve.dropna(subset=["gap"])
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


def test_curves_hold_each_run_and_axis(runs: Runs) -> None:
    (panel,) = curves(runs, ("method",), {})
    table = drawn(panel).explode(["value", "step", "training loss"])
    chosen = (table["run"] == "single1.h5") & (table["what"] == "left · test accuracy")
    run = next(run for run in runs if run.path.name == "single1.h5")
    assert table.loc[chosen, "value"].astype(float).to_numpy() == pytest.approx(
        run.frame("evaluations/test")["accuracy"].to_numpy(), rel=1e-4
    )
    assert table.loc[chosen, "training loss"].astype(float).to_numpy() == pytest.approx(
        run.frame("evaluations/train")["loss"].to_numpy(), rel=1e-4
    )
    along = next(each for each in panel.spec["params"] if each["name"] == "along")
    assert along["bind"]["options"] == ["step", "training loss"]


def test_many_runs_are_thinned_by_group_and_told(runs: Runs) -> None:
    many = [run for run in runs for _ in range(MOST_RUNS)]
    (panel,) = curves(many, ("method",), {})
    assert panel.title == f"{MOST_RUNS} of {len(many)} runs"
    assert set(drawn(panel)["series"]) == set(NAMES)


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
    table = pd.DataFrame({"a": [1 / 3, np.nan, np.inf], "b": [True, False, True], "c": list("xyz")})
    assert values(table, ["a", "b", "c"])[0] == {"a": 0.33333, "b": True, "c": "x"}
    assert [each["a"] for each in values(table, ["a"])[1:]] == [None, None]


def test_names_cannot_leave_their_element() -> None:
    name = "</script><script>alert(1)</script>"
    panel = Panel("", figure([{"series": name}], "", mark="point", encoding={}), {})
    text = embed.data(panel)
    assert "<" not in text
    assert json.loads(text)["data"]["values"][0]["series"] == name
