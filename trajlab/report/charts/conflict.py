"""Cosines of task gradients over training, to be looked at closely."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from trajlab.analysis import Conflict
from trajlab.plots.conflict import WINDOWS, drawn_pairs, windowed
from trajlab.report.charts import base

_TOLD = ("series", "step", "cosine", "low", "high")
MOST_LAYERS = 40  # names that can still be read beside a map


def conflict(result: Conflict, places: Mapping[str, int]) -> list[base.Panel]:
    """Return one panel a group: its pairs of tasks over training, or its layers.

    Groups are panels here: pairs take the palette in order of their names.
    """
    del places
    keys = ("setting", *result.options.keys[1:])
    if result.options.layers:
        maps = result.pairs.dropna(subset=["cosine"]).query("layer != 'all'")
        return [base.Panel(title, _layers(rows), {}) for title, rows in base.panels(maps, keys)]
    pairs = drawn_pairs(result.pairs)
    return [_panel(title, rows, result.corrected) for title, rows in base.panels(pairs, keys)]


def _panel(title: str, rows: pd.DataFrame, corrected: pd.DataFrame) -> base.Panel:
    lines = pd.concat([windowed(part).assign(series=pair) for pair, part in rows.groupby("pair")])
    marks = _corrected(rows, corrected)
    style = base.look(lines["series"])
    x = {"field": "step", "type": "quantitative", "title": "step"}
    y: base.Spec = {"type": "quantitative", "title": "cosine of the task gradients"}
    y["scale"] = {"domain": [-1, 1]}
    at = {"x": x, "y": y | {"field": "cosine"}}
    alone = {"color": style.color}
    band = {
        "transform": [{"filter": "!datum.corrected"}],
        "mark": {"type": "area", "aria": False, "clip": True, "opacity": 0.15},
        "encoding": {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}, **alone},
    }
    line = {
        "transform": [{"filter": "!datum.corrected"}],
        "mark": {"type": "line", "aria": False, "clip": True},
        "encoding": {**at, **alone, "strokeDash": style.dash},
    }
    pointed = {**at, **alone, "shape": style.shape, "tooltip": base.tooltip(*_TOLD)}
    points = {
        "transform": [{"filter": "!datum.corrected"}],
        "mark": {"type": "point", "filled": True, "size": 35, "clip": True},
        "encoding": pointed,
        "params": [base.ZOOM],
    }
    large = {
        "transform": [{"filter": "datum.corrected"}],
        "mark": {"type": "point", "aria": False, "size": 170, "strokeWidth": 2, "clip": True},
        "encoding": pointed,
    }
    table = pd.concat([lines.assign(corrected=False), marks.assign(corrected=True)])
    means = lines.groupby("series")["cosine"].mean()
    told = "; ".join(f"{pair}: {mean:+.2f}" for pair, mean in means.items())
    drawn = base.figure(
        base.data(table, (*_TOLD, "corrected")),
        f"Mean cosine of the task gradients over training. {told}.",
        layer=[base.ZERO, band, line, points, large],
    )
    return base.Panel(title, drawn, style.names)


def _corrected(rows: pd.DataFrame, corrected: pd.DataFrame) -> pd.DataFrame:
    """Return the mean noise-corrected cosine over the runs of a group, by pair and step."""
    empty = pd.DataFrame(columns=["series", "step", "cosine"])
    if corrected.empty:
        return empty
    of_group = corrected[corrected["run"].isin(rows["run"])].dropna(subset=["cosine"])
    named = of_group.assign(series=of_group["task_a"] + " – " + of_group["task_b"])
    named = named[named["series"].isin(rows["pair"])]
    return named.groupby(["series", "step"])["cosine"].mean().reset_index()


def _layers(rows: pd.DataFrame) -> base.Spec:
    """Draw the mean cosine of all pairs by layer and window of steps."""
    edges = np.unique(np.linspace(rows["step"].min(), rows["step"].max() + 1, WINDOWS + 1))
    window = edges[np.searchsorted(edges, rows["step"], side="right") - 1]
    windows = rows.assign(step=window).groupby(["layer", "step"], sort=False)
    cells = windows["cosine"].mean().reset_index()
    order = list(dict.fromkeys(rows["layer"]))
    shown = base.data(cells.assign(series="layers"), ("series", "layer", "step", "cosine"))
    means = cells.groupby("layer")["cosine"].mean()
    told = f"from {means.min():+.2f} ({means.idxmin()}) to {means.max():+.2f} ({means.idxmax()})"
    return base.figure(
        shown,
        f"Mean cosine of the task gradients by layer, {told}.",
        mark={"type": "rect", "aria": False},
        encoding={
            "tooltip": base.tooltip("layer", "step", "cosine"),
            "x": {"field": "step", "type": "ordinal", "axis": {"labelOverlap": True}},
            "y": {"field": "layer", "type": "nominal", "sort": order, "title": None}
            | {"axis": {"labelOverlap": len(order) > MOST_LAYERS}},
            "color": {
                "field": "cosine",
                "type": "quantitative",
                "scale": {"scheme": "redblue", "domain": [-1, 1]},
            },
        },
    )
