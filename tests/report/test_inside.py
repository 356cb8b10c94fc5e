"""Every figure as it is measured: nothing leaves it, no legend hides a point, colours stay."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from tests.analysis.results import made_up
from trajlab.analysis import Result
from trajlab.plots.key import MOST_NAMED
from trajlab.plots.style import LONGEST, PALETTE
from trajlab.report.figures import draw, palette

LONG = (r"a_name_of_a_task_that_is_long_for_a_figure_$\alpha_1$", "_private", "'$x$' \"$y_z$\"")
LOSS = np.logspace(-3, 0, 20)


def names(number: int) -> list[str]:
    return [*LONG, *(f"task-{i:02d}" for i in range(number))][:number]


def gap(number: int, conditions: tuple[str, ...] = ("+same", LONG[0])) -> Result:
    curves, summary = [], []
    for task in names(number):
        for place, condition in enumerate(conditions):
            row = {"setting": "digits", "condition": condition, "method": "uniform", "task": task}
            row |= {"baseline": "method=" + LONG[0], "metric": "accuracy"}
            height = place * np.log10(LOSS)
            curve = {"at": LOSS, "train_loss": LOSS, "gap": height, "low": height - 1}
            curve |= {"high": height + 1, "band_low": height - 2, "band_high": height + 2}
            curves.append(pd.DataFrame({**row, **curve, "significant": LOSS < 0.1}))
            ends = {"common_loss": 0.001, "matched": 1.0, "matched_low": 0, "matched_high": 2}
            summary.append({**row, "onset_loss": 0.1, **ends})
    return made_up("gap", curve=pd.concat(curves), summary=pd.DataFrame(summary))


def conflict(number: int, layers: bool = False) -> Result:
    pairs = combinations(names(max(number, 2)), 2)
    rows = [
        {"setting": "s", "condition": "", "method": "m", "run": "r", "step": step, "cosine": 0.5}
        | {"layer": layer, "task_a": first, "task_b": second}
        for first, second in ([("a", "b")] if layers else pairs)
        for layer in ([f"encoder.{name}" for name in names(number)] if layers else ["all"])
        for step in (0, 5, 9)
    ]
    return made_up("conflict", pairs=pd.DataFrame(rows), layers=layers)


def factors(number: int) -> Result:
    rows = [
        {"setting": "s", "condition": condition, "method": "m", "task": task, "factor": factor}
        | {"metric": "", "at": at, "z": 20.0, "better": 1}
        for task in names(number)
        for condition in ("+same", LONG[0])
        for factor in ("final_metric", "hessian_top", LONG[0])
        for at in ("end", "matched")
    ]
    delta = pd.DataFrame(rows)
    return made_up("factors", runs=delta[["setting", "task"]], delta=delta)


def front(number: int) -> Result:
    points = [
        {"setting": "s", "method": method, "configuration": str(i), "chosen": i == 0}
        | {"first": float(i), "second": -float(i)}
        for method in names(number)
        for i in range(3)
    ]
    apart = [{"setting": "s", "method": m, "signed_distance": 1.0} for m in names(number)]
    distance = pd.DataFrame(apart).assign(low=-1.0, high=2.0)
    objective = {"first": "max", "second": "max"}
    return made_up("front", points=pd.DataFrame(points), distance=distance, objective=objective)


def correlate(number: int) -> Result:
    head = [{"setting": "s", "task": "", "metric": "accuracy", "group": g} for g in names(number)]
    points = [
        row | {"unit": f"{LONG[0]}{i}", "x_value": float(i), "y_value": -float(i)}
        for row in head
        for i in range(4)
    ]
    found = pd.DataFrame(head).assign(statistic="pearson", given=LONG[0], estimate=0.3, low=-0.1)
    found = found.assign(high=0.6, p_value=0.04, n=4)
    shown = {"points": pd.DataFrame(points), "correlations": found}
    return made_up("correlate", x="cosine_mean", y=LONG[0], within="task", **shown)


def geometry(number: int) -> Result:
    rows = [
        {"setting": "s", "condition": name, "method": "m", "run": name, "step": step}
        | {"component_1": float(step), "component_2": float(step) ** 2}
        for name in names(number)
        for step in range(4)
    ]
    explained = pd.DataFrame({"setting": "s", "component": [1, 2], "explained": [0.6, 0.2]})
    return made_up("geometry", projection=pd.DataFrame(rows), explained=explained)


def weighting(number: int) -> Result:
    rows = [
        {"setting": "s", "condition": "", "method": method, "run": "r", "task": task}
        | {"step": step, "share": 1 / number}
        for method in ("famo", LONG[0])
        for task in names(number)
        for step in range(4)
    ]
    return made_up("weighting", weights=pd.DataFrame(rows))


FIGURES = {
    **{"gap": gap, "conflict": conflict, "factors": factors, "front": front},
    **{"correlate": correlate, "geometry": geometry, "weighting": weighting},
}


def check(figure: Figure) -> None:
    """Measure a figure: all text inside it, no legend over its axes or another's, panels alike."""
    figure.canvas.draw()
    edge, renderer = figure.bbox.padded(1), figure.canvas.get_renderer()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    for text in (each for axes in shown for each in axes.findobj(Text)):
        if text.get_visible() and text.get_text().strip() and text.axes is not None:
            box = text.get_window_extent(renderer)
            assert edge.containsx(box.x0), text
            assert edge.containsx(box.x1), text
            assert edge.containsy(box.y0), text
            assert edge.containsy(box.y1), text
    boxes = [axes.get_window_extent() for axes in shown]
    assert min(box.height for box in boxes) > 0.3 * max(box.width for box in boxes)
    for legend in legends(figure):
        box = legend.get_window_extent(renderer)
        assert not any(box.overlaps(other) for other in boxes)
        assert edge.containsx(box.x0), legend
        assert edge.containsx(box.x1), legend
        assert edge.containsy(box.y0), legend


def legends(figure: Figure) -> list[Legend]:
    return [*filter(None, (axes.get_legend() for axes in figure.axes)), *figure.legends]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("number", [1, 6, 40])
def test_it_stays_inside(name: str, number: int) -> None:
    check(draw(name, FIGURES[name](number)))


def test_a_key_of_many_tasks_and_a_long_name_is_not_taller_than_the_panels() -> None:
    for width in (None, 6.9):
        figure = draw("weighting", weighting(40), width=width)
        check(figure)
        (key,) = legends(figure)  # once for both methods
        panels = [axes.get_window_extent().height for axes in figure.axes]
        assert key.get_window_extent().height < 0.8 * min(panels)


@pytest.mark.parametrize("number", [1, 40])
def test_a_map_of_layers_stays_inside(number: int) -> None:
    check(draw("conflict", conflict(number, layers=True)))


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("width", [3.3, 6.9])
def test_it_has_the_width_of_a_paper(name: str, width: float) -> None:
    figure = draw(name, FIGURES[name](6), width=width)
    assert figure.get_figwidth() == width
    check(figure)
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip()}
    assert 5 <= min(sizes) <= max(sizes) <= 8


def colours(figure: Figure) -> dict[str, str]:
    return {
        text.get_text().partition(",")[0]: to_hex(handle.get_color())
        for legend in legends(figure)
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
        if hasattr(handle, "get_color")
    }


def test_a_condition_has_its_colour_in_any_order_and_beside_any_others() -> None:
    places = {"+a · uniform": 0, "+b · uniform": 1, "+c · uniform": 2}
    for conditions in (("+c", "+a"), ("+a", "+c"), ("+c", "+b", "+a")):
        found = colours(draw("gap", gap(1, conditions), places))
        assert found == {name: PALETTE[["+a", "+b", "+c"].index(name)] for name in conditions}
    forth, back = (colours(draw("gap", gap(1, order))) for order in (("+x", "+y"), ("+y", "+x")))
    assert forth == back


def test_groups_are_placed_by_their_names_and_not_by_their_files(runs) -> None:
    assert palette(runs, ()) == palette(list(runs)[::-1], ()) == {"single": 0, "uniform": 1}
    names = [f"{method} · {seed}" for method in ("single", "uniform") for seed in range(3)]
    assert palette(runs, ["seed"]) == {name: place for place, name in enumerate(names)}


def test_more_series_than_can_be_named_are_counted() -> None:
    made = weighting(MOST_NAMED + 5)
    one = replace(made, weights=made.weights.query("method == 'famo'"))
    told = [text.get_text() for text in draw("weighting", one).axes[0].get_legend().get_texts()]
    assert "… and 6 more" in told
    assert max(len(name.replace(r"\$", "$")) for name in told[:-1]) <= LONGEST
