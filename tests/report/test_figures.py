import re
from dataclasses import replace

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from tests.analysis.results import made_up
from tests.plots.test_gap import result
from trajlab.analysis import Gap
from trajlab.plots.key import share
from trajlab.report.figures import draw, render, svg


def joined(*results: Gap) -> Gap:
    return replace(
        results[0],
        curve=pd.concat([each.curve for each in results]),
        summary=pd.concat([each.summary for each in results]),
    )


def test_each_task_has_a_panel_with_its_own_lines() -> None:
    first, second = result({"+same": 1, "+noisy": -1}), result({"+same": 3}, task="second")
    shown = [axes for axes in draw("gap", joined(first, second)).axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["first", "second"]
    assert [len(axes.get_legend().get_texts()) for axes in shown] == [
        4,
        3,
    ]  # and the key of two bands


def test_panels_of_the_same_lines_share_one_key() -> None:
    made = joined(*(result({"+same": 1, "+noisy": -1}, task=f"task {i}") for i in range(3)))
    drawn = draw("gap", made)
    assert not any(axes.get_legend() for axes in drawn.axes)
    (key,) = drawn.legends
    bands = ["interval at each loss", "band for the whole curve"]
    assert [text.get_text() for text in key.get_texts()] == ["+same", "+noisy", *bands]
    assert key.get_title().get_text() == "against method=single"


def test_panels_that_draw_one_name_in_two_ways_keep_their_keys() -> None:
    for changed in ({"color": "red"}, {"linestyle": "--"}, {"marker": "s"}):
        figure, panels = plt.subplots(1, 2)
        for axes, look in zip(panels, ({}, changed), strict=True):
            axes.plot([0, 1], **{"color": "blue", "label": "a"} | look)
            axes.legend()
        assert share(figure) is None
        assert all(axes.get_legend() for axes in panels)
        plt.close(figure)


@pytest.mark.parametrize("tasks", [1, 2, 4, 7])
def test_any_number_of_panels(tasks: int) -> None:
    made = joined(*(result({"+same": 1}, task=f"task {i}") for i in range(tasks)))
    assert sum(axes.get_visible() for axes in draw("gap", made).axes) == tasks


def test_pyplot_does_not_keep_the_figure() -> None:
    before = plt.get_fignums()
    draw("gap", result({"+same": 1}))
    assert plt.get_fignums() == before


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_the_same_result_gives_the_same_bytes(kind: str) -> None:
    once, again = (render(draw("gap", result({"+same": 1})), kind) for _ in range(2))
    assert once == again


def test_text_in_svg_is_text() -> None:
    assert b">training loss" in render(draw("gap", result({"+same": 1})), "svg")


def test_in_a_page_tags_are_short_and_text_is_whole() -> None:
    name = "loss_0.123456  <of> $x$"
    figure = draw("gap", joined(result({"+same": 1}, task=name), result({"+same": 1}, task="b")))
    element = svg(figure, "gap")
    assert "loss_0.123456  &lt;of&gt; $x$" in element
    tags = "".join(re.findall("<[^>]*>", element))
    assert not re.findall(r"\d\.\d\d", tags)
    assert len(element) < 0.7 * len(render(figure, "svg"))
    (box,) = re.findall('viewBox="([^"]*)"', element)
    assert [float(number) for number in box.split()] == pytest.approx(
        [0, 0, *(72 * figure.get_size_inches())], abs=0.1
    )


@pytest.mark.parametrize(
    ("tasks", "width", "columns", "rows"),
    [
        (1, None, 1, 1),
        (2, None, 2, 1),
        (3, None, 3, 1),
        (4, None, 3, 2),
        (7, None, 3, 3),
        (3, 3.3, 1, 3),
        (3, 6.3, 1, 3),
        (3, 6.4, 2, 2),
        (4, 9.59, 2, 2),
        (4, 9.6, 3, 2),
        (4, 99.0, 3, 2),
        (1, 9.7, 1, 1),
    ],
)
def test_panels_stand_in_rows_that_are_as_wide_as_asked_for(
    tasks: int, width: float | None, columns: int, rows: int
) -> None:
    made = joined(*(result({"+same": 1}, task=f"task {i}") for i in range(tasks)))
    figure = draw("gap", made, width=width)
    grid = figure.axes[0].get_gridspec()
    assert (grid.ncols, grid.nrows) == (columns, rows)
    wide, high = figure.get_size_inches()
    assert wide == pytest.approx(width or max(4.6 * columns, 6.4))
    panel = 3.6 if width is None else 3.6 / 4.6 * width / columns
    assert rows * panel < high < rows * (panel + 1.6)  # and the legends
    size = figure.axes[0].title.get_fontsize()
    assert size == (9 if width is None else 7)


@pytest.mark.parametrize(
    ("settings", "width", "columns", "rows"),
    [("a", None, 2, 1), ("ab", None, 2, 2), ("ab", 6.4, 2, 2), ("ab", 3.3, 1, 4)],
)
def test_a_second_figure_stands_beside_the_first_of_its_part(
    settings: str, width: float | None, columns: int, rows: int
) -> None:
    points = pd.DataFrame(
        {"setting": setting, "method": "m", "configuration": "c", "chosen": True}
        | {"on_front": True, "x": 1.0, "y": float(number)}
        for number, setting in enumerate(settings)
    )
    objective = {"x": "max", "y": "max"}
    distance = points.assign(signed_distance=1.0, low=0.5, high=2.0)
    tables = {"points": points, "training": points, "distance": distance}
    made = made_up("front", objective=objective, **tables)
    figure = draw("front", made, width=width)
    grid = figure.axes[0].get_gridspec()
    assert (grid.ncols, grid.nrows) == (columns, rows)
    titles = [(axes.get_title(), axes.get_xlabel()) for axes in figure.axes]
    labels = ("x (more is better)", "x on the training set (more is better)")
    shown = settings if len(settings) > 1 else [""]
    assert titles == [(title, label) for title in shown for label in labels]
    places = [axes.lines[0].get_ydata().tolist() for axes in figure.axes]
    assert places == [[float(number)] for number, _ in enumerate(settings) for _ in labels]


def test_panels_are_named_by_what_tells_them_apart_and_have_their_own_rows() -> None:
    parts = [result({"+same": 1}, setting=name, task=task) for name in ("", "s") for task in "tu"]
    figure = draw("gap", joined(*parts))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["t", "u", "s · t", "s · u"]
    both = draw("gap", joined(result({"+same": 1}, setting=""), result({"+same": 2}, setting="s")))
    assert [axes.get_title() for axes in both.axes] == ["no setting", "s"]
    ends = [
        bar[2][0].get_segments()[0][:, 1].mean() for axes in both.axes for bar in axes.containers
    ]
    assert ends == pytest.approx([3.6, 6.7])


def test_a_png_has_200_dots_an_inch() -> None:
    figure = draw("gap", result({"+same": 1}))
    content = render(figure, ".png")
    wide = int.from_bytes(content[16:20], "big")
    assert wide == pytest.approx(200 * figure.get_size_inches()[0], abs=1)
