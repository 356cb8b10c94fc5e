from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from tests.analysis.results import made_up
from trajlab import plots
from trajlab.analysis import Correlation, correlate


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def result(tmp_path, units: int, tasks: int = 1) -> Correlation:
    table = pd.DataFrame(
        {"similarity": unit / 10, "accuracy": task + unit % 3 + unit, "task": f"task {task}"}
        for task in range(tasks)
        for unit in range(units)
    )
    table.to_csv(tmp_path / "table.csv", index=False)
    return correlate(table=str(tmp_path / "table.csv"), x="similarity", y="accuracy")


def legend(ax: plt.Axes) -> list[str]:
    return [entry.get_text() for entry in ax.get_legend().get_texts()]


def test_a_unit_is_a_point_and_the_estimate_is_said_with_its_interval(tmp_path) -> None:
    made = result(tmp_path, 9)
    ax = plots.correlate(made)
    points = made.points[["x_value", "y_value"]].to_numpy()
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), points)
    pearson = made.correlations.set_index("statistic").loc["pearson"]
    (said,) = legend(ax)
    interval = f"[{pearson['low']:.2f}, {pearson['high']:.2f}]"
    assert f"pearson {pearson['estimate']:.2f} {interval}, p = {pearson['p_value']:.2g}" in said
    assert "n = 9" in said
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("similarity", "accuracy")


def test_tasks_have_markers_of_their_own(tmp_path) -> None:
    ax = plots.correlate(result(tmp_path, 5, tasks=3))
    assert [said.split("\n")[0] for said in legend(ax)] == ["task 0", "task 1", "task 2"]
    outlines = [points.get_paths()[0].vertices.tobytes() for points in ax.collections]
    assert len(set(outlines)) == 3


def test_strata_have_their_own_estimates(tmp_path) -> None:
    result(tmp_path, 5, tasks=2)  # writes the table
    table = pd.read_csv(tmp_path / "table.csv").rename(columns={"task": "family"})
    table.to_csv(tmp_path / "table.csv", index=False)
    file = str(tmp_path / "table.csv")
    made = correlate(table=file, x="similarity", y="accuracy", within="family")
    labels = legend(plots.correlate(made))
    assert [said.split("\n")[0] for said in labels] == ["family task 0", "family task 1"]
    assert [said.count("pearson") for said in labels] == [1, 1]


@pytest.mark.parametrize(("units", "said"), [(3, "no interval"), (2, "unknown, n = 2")])
def test_what_is_unknown_is_not_written_as_a_number(tmp_path, units: int, said: str) -> None:
    (label,) = legend(plots.correlate(result(tmp_path, units)))
    assert said in label
    assert "nan" not in label


def test_points_and_estimates_of_each_group_stand_with_its_name() -> None:
    points = pd.DataFrame(
        {"setting": "s", "task": "", "metric": "m", "group": list("aab"), "unit": ["u", "v", "w"]}
        | {"x_value": [1.0, 2.0, 6.0], "y_value": [-1.0, np.nan, 4.0]}
    )
    points.loc[3] = ["s", "", "m", "b", "z", 2.9, 0.5]
    estimates = pd.DataFrame(
        {"setting": "s", "task": "", "metric": "m", "group": list("bab")}
        | {"statistic": ["partial_rank", "pearson", "pearson"], "given": ["final_loss", "", ""]}
        | {"estimate": [-0.756, 0.254, np.nan], "low": [-0.91, np.nan, np.nan]}
        | {"high": [0.35, np.nan, np.nan], "p_value": [0.0234, 0.61, np.nan], "n": [2, 7, 3]}
    )
    shown = {"points": points, "correlations": estimates, "x": "cosine_mean", "y": "final_metric"}
    ax = plots.correlate(made_up("correlate", within="task", **shown))
    assert legend(ax) == [
        "task a\npearson 0.25 no interval, p = 0.61, n = 7",
        "task b\npartial rank given final_loss\n-0.76 [-0.91, 0.35], p = 0.023, n = 2\n"
        "pearson unknown, n = 3",
    ]
    places = [part.get_offsets().tolist() for part in ax.collections]
    assert places == [[[1, -1]], [[6, 4], [2.9, 0.5]]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("cosine mean", "final metric")
    named = {text.get_text(): (text.xy, text.get_ha(), text.xyann) for text in ax.texts}
    assert named == {  # names stand towards the middle, which is at 3.3
        "u": ((1, -1), "left", (5, 4)),
        "w": ((6, 4), "right", (-5, 4)),
        "z": ((2.9, 0.5), "left", (5, 4)),
    }
    ax = plots.correlate(made_up("correlate", **shown))
    assert [said.partition("\n")[0] for said in legend(ax)] == ["a", "b"]


def test_many_units_are_not_named(tmp_path) -> None:
    assert len(plots.correlate(result(tmp_path, 12)).texts) == 12
    assert plots.correlate(result(tmp_path, 13)).texts[:] == []


def test_nothing_to_draw_is_said(tmp_path) -> None:
    made = result(tmp_path, 4)
    made.points["x_value"] = np.nan
    assert "no unit" in plots.correlate(made).texts[0].get_text()
