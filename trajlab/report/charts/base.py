"""What the interactive figures share: panels, colours, axes, and what one can do with them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from trajlab.analysis.interface.tables import records
from trajlab.plots.style import PALETTE, named, placed, series

Spec = dict[str, Any]
Row = dict[str, Any]

SHAPES = {  # and the signs that stand for them in words
    **{"circle": "●", "square": "■", "triangle-up": "▲", "diamond": "◆"},
    **{"triangle-down": "▼", "cross": "✚"},
}
DASHES = ((1, 0), (6, 2), (2, 2), (8, 2, 2, 2), (12, 3))
DIGITS = 5  # of a number in a page

_CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {"labelColor": "currentColor", "titleColor": "currentColor", "titleFontWeight": 500}
    | {"domainColor": "#888", "tickColor": "#888", "gridColor": "#8882", "labelLimit": 160},
    "legend": {"labelColor": "currentColor", "titleColor": "currentColor", "orient": "bottom"},
}

ZERO: Spec = {
    "mark": {"type": "rule", "aria": False, "color": "#888"},
    "encoding": {"y": {"datum": 0}},
}

ZOOM: Spec = {  # a wheel turns the page, unless Shift is held
    "name": "zoom",
    "select": {"type": "interval", "zoom": "wheel![event.shiftKey]"},
    "bind": "scales",
}


@dataclass(frozen=True)
class Panel:
    """One interactive figure.

    Attributes
    ----------
    title
        What tells it from its neighbours; empty where it has none.
    spec
        The Vega-Lite specification, with its data.
    names
        The series that it draws, in order, each with its sign and colour: the page makes of them
        the key of the figure, in which each can be hidden.
    """

    title: str
    spec: Spec
    names: Mapping[str, tuple[str, str]]


def panels(table: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the title and the rows of each panel; nothing of an empty table."""
    if table.empty:
        return
    for part in series(table, keys):
        yield part.label, part.rows


def labelled(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Add the column `series`, the group's name."""
    return table.assign(series=named(records(table), keys))


@dataclass(frozen=True)
class Look:
    """How the series of a panel are told apart.

    Attributes
    ----------
    names
        Each series with its sign and colour, as a :class:`Panel` has them.
    color, dash, shape
        Encodings.
    """

    names: Mapping[str, tuple[str, str]]
    color: Spec
    dash: Spec
    shape: Spec


def look(names: Iterable[str], places: Mapping[str, int] | None = None) -> Look:
    """Give each series a colour, a dash and a shape.

    Parameters
    ----------
    names
        The series of the panel.
    places
        Place of each in the palette; by default in order of the names.
    """
    names = set(names)
    number = placed(names, places)
    kept = sorted(names, key=lambda name: number[name])

    def scale(values: Sequence[Any]) -> list[Any]:
        return [values[number[name] % len(values)] for name in kept]

    def encoding(drawn: list[Any]) -> Spec:
        domain = {"domain": kept, "range": drawn}
        return {"field": "series", "type": "nominal", "scale": domain, "legend": None}

    colors, shapes = scale(PALETTE), scale(list(SHAPES))
    signs = zip([SHAPES[shape] for shape in shapes], colors, strict=True)
    dashes = scale([list(dash) for dash in DASHES])
    named = dict(zip(kept, signs, strict=True))
    return Look(named, encoding(colors), encoding(dashes), encoding(shapes))


def data(table: pd.DataFrame, columns: Sequence[str]) -> list[Row]:
    """Return one row a series, its values as lists: a third of the length of a row a point.

    Digits are few, and what is not finite is null.
    """
    names = [name for name in columns if name in table and name != "series"]
    return [
        {"series": str(series), **{name: list(map(short, rows[name])) for name in names}}
        for series, rows in table.groupby("series", sort=False)
    ]


def figure(data: Sequence[Row], finding: str, **parts: Any) -> Spec:
    """Return a whole specification, whose series the page can hide.

    Parameters
    ----------
    data
        One row a series, as :func:`data` returns them.
    finding
        What the figure shows, in words, for those who do not see it.
    **parts
        ``layer``, or ``mark`` and ``encoding``; and ``transform``.
    """
    hide = {"filter": "indexof(hidden, datum.series) < 0"}
    lists = [name for name, held in data[0].items() if isinstance(held, list)] if data else []
    spread = [{"flatten": lists}] if lists else []
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "description": finding,
        "width": "container",
        "height": 300,
        "autosize": {"type": "fit", "contains": "padding"},
        "config": _CONFIG,
        "data": {"values": list(data)},
        **parts,
        "params": [{"name": "hidden", "value": []}, *parts.get("params", [])],
        "transform": [hide, *spread, *parts.get("transform", [])],
    }


def tooltip(*fields: str) -> list[Spec]:
    """Return what a mark tells when it is pointed at."""
    return [{"field": name, "title": name.replace("_", " ")} for name in fields]


def short(value: Any) -> Any:
    """Return a value as a page writes it; None for what is missing or not finite."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        if not np.isfinite(value):
            return None
        rounded = float(f"{value:.{DIGITS}g}")
        return int(rounded) if rounded.is_integer() else rounded
    return None if value is None or pd.isna(value) else str(value)
