"""Where each factor's mark stands: its height, its side, and whether it is filled."""

from collections.abc import Iterator

import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from tests.analysis.results import made_up
from trajlab import plots
from trajlab.plots.style import PALETTE


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def delta(*rows: tuple[str, str, str, str, float, int]) -> pd.DataFrame:
    names = ("condition", "factor", "metric", "at", "z", "better")
    return pd.DataFrame(rows, columns=list(names)).assign(setting="s", method="m", task="t")


def test_a_mark_stands_at_its_difference_turned_so_that_right_is_better() -> None:
    rows = delta(
        ("+b", "final_metric", "error", "end", 3.5, -1),
        ("+b", "sharpness", "", "end", -14.0, -1),
        ("+a", "final_metric", "error", "end", -1.5, -1),
        ("+a", "final_metric", "error", "0.1", 2.5, -1),
        ("+a", "final_metric", "loss", "0.1", -13.0, 1),
        ("+a", "sharpness", "", "end", float("nan"), -1),
    )
    ax = plots.factors(made_up("factors", delta=rows))
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "final metric loss",
        "sharpness",
        "final metric error",
    ]
    assert ax.get_yticks().tolist() == [0, 1, 2]
    points = [
        (to_hex(line.get_color()), to_hex(line.get_markerfacecolor()), *map(float, point))
        for line in ax.lines
        for point in line.get_xydata()
        if line.get_linestyle() == "None"
    ]
    first, second = PALETTE[:2]  # of +a and of +b, which comes first in the table
    expected = [
        (second, second, -3.5, 2 + 0.2 + 0.08),
        (second, second, 12, 1 + 0.2 + 0.08),
        (first, first, 1.5, 2 - 0.2 + 0.08),
        (first, "#ffffff", -2.5, 2 - 0.2 - 0.08),
        (first, "#ffffff", -12, 0 - 0.2 - 0.08),
    ]
    assert [point[:2] for point in points] == [point[:2] for point in expected]
    for point, place in zip(points, expected, strict=True):
        assert point[2:] == pytest.approx(place[2:])
    upright = {line.get_xdata()[0]: line.get_linestyle() for line in ax.lines[:3]}
    assert upright == {-2: ":", 0: "-", 2: ":"}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "+b",
        "+a",
        "over whole runs",
        "at equal training loss",
    ]
    faces = [to_hex(each.get_markerfacecolor()) for each in ax.get_legend().legend_handles]
    assert faces == [second, first, "#404040", "#ffffff"]
    assert (ax.get_xlim(), ax.get_ylim()) == ((-13, 13), (-0.6, 2.6))
    assert ax.get_xlabel().endswith("(right is better)\nmarks at the edge are beyond 12")


def test_only_marks_beyond_the_edge_are_told_to_be_there() -> None:
    for z in (12.0, -12.0):
        ax = plots.factors(made_up("factors", delta=delta(("", "sharpness", "", "end", z, -1))))
        assert ax.get_xlabel() == "difference to the baseline\nin standard errors (right is better)"
    nothing = delta(("", "sharpness", "", "end", float("nan"), -1))
    ax = plots.factors(made_up("factors", delta=nothing))
    assert ax.texts[0].get_text() == "no factor with two runs on either side"
