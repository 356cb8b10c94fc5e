"""Differences of factors in standard errors, to be looked at closely."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from trajlab.analysis import Factors
from trajlab.analysis.factors.quadrants import factor_names
from trajlab.analysis.interface.tables import records
from trajlab.plots.factors import CLEAR, EDGE
from trajlab.report.charts import base

_WHOLE, _EQUAL = "over whole runs", "at equal training loss"
_TOLD = ("series", "factor", "when", "delta", "low", "high", "p_value", "z")


def factors(result: Factors, places: Mapping[str, int]) -> list[base.Panel]:
    """Return one panel a setting and task."""
    named = result.delta.assign(factor=factor_names(result.delta)).dropna(subset=["z"])
    table = base.labelled(named, result.options.keys[1:])
    table["when"] = np.where(table["at"] == "end", _WHOLE, _EQUAL)
    table["place"] = np.clip(table["z"] * table["better"], -EDGE, EDGE)
    return [_panel(title, rows, places) for title, rows in base.panels(table, ("setting", "task"))]


def _panel(title: str, rows: pd.DataFrame, places: Mapping[str, int]) -> base.Panel:
    style = base.look(rows["series"], places)
    beyond = f"; marks at ±{EDGE} are beyond" if (rows["z"].abs() > EDGE).any() else ""
    lines_of_title = ["difference in standard errors", f"(right is better{beyond})"]
    x: base.Spec = {"field": "place", "type": "quantitative", "title": lines_of_title}
    x["scale"] = {"domain": [-EDGE - 1, EDGE + 1]}
    y = {"field": "factor", "type": "nominal", "title": None, "sort": None}
    point: base.Spec = {"mark": {"type": "point", "filled": True, "size": 110}}
    opacity = {
        "field": "when",
        "type": "ordinal",
        "title": None,
        "scale": {"domain": [_WHOLE, _EQUAL], "range": [1, 0]},
    }
    point["encoding"] = {"x": x, "y": y, "yOffset": {"field": "series", "type": "nominal"}}
    point["encoding"] |= {"color": style.color, "shape": style.shape}
    point["encoding"] |= {"fillOpacity": opacity, "tooltip": base.tooltip(*_TOLD)}
    lines = [
        {
            "mark": base.ZERO["mark"] | {"strokeDash": [1, 0] if at == 0 else [2, 3]},
            "encoding": {"x": {"datum": at}},
        }
        for at in (-CLEAR, 0, CLEAR)
    ]
    told = "; ".join(
        f"{row['series']}, {row['factor']} {row['when']}: {row['place']:+.2g}"
        for row in records(rows)
    )
    drawn = base.figure(
        base.data(rows, (*_TOLD, "place")),
        f"Differences in standard errors, above 0 better. {told}.",
        layer=[*lines, point],
    )
    tall = {"height": {"step": 16}, "autosize": {"type": "fit-x", "contains": "padding"}}
    return base.Panel(title, drawn | tall, style.names)
