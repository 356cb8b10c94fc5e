"""Fronts of configurations, to be looked at closely."""

from collections.abc import Mapping

import pandas as pd

from trajlab.analysis import Front
from trajlab.report.charts.base import ZOOM, Panel, data, figure, look, panels, tooltip


def front(result: Front, places: Mapping[str, int]) -> list[Panel]:
    """Return one panel a setting, in its first two objectives.

    Methods, which are compared here, have the colours of their groups where they are named so.
    """
    objective = list(result.settings["objective"].items())[:2]
    names = [name for name, _ in objective]
    points = result.points.dropna(subset=names) if len(result.points) else result.points
    return [_panel(title, rows, objective, places) for title, rows in panels(points, ("setting",))]


def _panel(
    title: str, rows: pd.DataFrame, objective: list[tuple[str, str]], places: Mapping[str, int]
) -> Panel:
    style = look(rows["method"], places)
    x, y = (
        {
            "field": place,  # a dot in an objective's name would be read as a path
            "type": "quantitative",
            "title": f"{name} ({'more' if way == 'max' else 'less'} is better)",
            "scale": {"zero": False},
        }
        for place, (name, way) in zip("xy", objective, strict=False)
    )
    (first, _), (second, _) = objective
    table = rows.assign(series=rows["method"], x=rows[first], y=rows[second])
    told = [name for name in table if name in ("series", "configuration", "n_runs", "chosen")]
    point = {
        "mark": {"type": "point", "size": 90, "strokeWidth": 1.8},
        "encoding": {
            "x": x,
            "y": y,
            "color": style.color,
            "shape": style.shape,
            "fill": {
                "condition": {"test": "datum.chosen", **style.color},
                "value": "transparent",
            },
            "tooltip": [
                *tooltip(*told),
                {"field": "x", "title": first},
                {"field": "y", "title": second},
            ],
        },
        "params": [ZOOM],
    }
    line = {
        "transform": [{"filter": "datum.chosen"}],
        "mark": {"type": "line", "aria": False},
        "encoding": {"x": x, "y": y, "color": style.color, "strokeDash": style.dash},
    }
    best = "; ".join(
        f"{method}: {len(chosen)} configurations on its front"
        for method, chosen in table[table["chosen"].astype(bool)].groupby("method")
    )
    drawn = figure(
        data(table, [*told, "x", "y"]),
        f"Configurations in {first} and {second}. {best}.",
        layer=[line, point],
    )
    return Panel(title, drawn, style.names)
