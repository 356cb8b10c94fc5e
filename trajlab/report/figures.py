"""The figure of a result, in panels, and the bytes of its file."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import ceil
from pkgutil import resolve_name
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trajlab.analysis.interface.result import Result
from trajlab.analysis.interface.tables import group_columns
from trajlab.analysis.runs.groups import group_keys
from trajlab.plots.key import share
from trajlab.plots.style import Places, apart, fitted, label, plain, series
from trajlab.report.catalog import ANALYSES
from trajlab.store import Trajectory
from trajlab.store.labels import ranks

BESIDE = 3  # panels in a row
WIDTH, HEIGHT = 4.6, 3.6  # inches of a panel, without its legend
NARROWEST = 3.2  # inches of a panel, where a width is asked for
_SLIM: Any = {  # as printed in a paper of two columns, and not made smaller there
    **{"font.size": 7, "axes.linewidth": 0.6, "lines.linewidth": 1, "lines.markersize": 4},
}

_RC: Any = {  # matplotlib types the keys as literals
    "font.size": 9,
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's own font
    "svg.hashsalt": "trajlab",  # the same result gives the same bytes
    "pdf.fonttype": 42,
}


def draw(
    name: str, result: Result, places: Places | None = None, width: float | None = None
) -> Figure:
    """Draw a result with the figure the catalog names for it, one panel a part.

    Parameters
    ----------
    name
        The analysis's name in the catalog.
    result
        The result that the analysis returned.
    places
        Place of each group's name in the palette; by default in the order of the names.
    width
        Inches of the figure, such as the 3.3 of a paper's column: text and lines are then as such
        a paper prints them. By default 4.6 inches a panel, to be looked at on a screen.

    Returns
    -------
    Figure
        Not known to pyplot, so nothing has to be closed. It is as high as panels and legends need.
    """
    entry = ANALYSES[name]
    parts = list(_parts(result, entry.panels))
    plots = [resolve_name(f"trajlab.plots:{name}")]
    plots += [
        resolve_name(plot) for table, plot in entry.beside.items() if len(getattr(result, table))
    ]
    drawn = [(title, part, plot) for title, part in parts for plot in plots]
    fitting = BESIDE if width is None else round(width / NARROWEST, 3)  # 9.6 / 3.2 is below 3
    beside = int(np.clip(fitting, 1, BESIDE))
    columns = min(max(1, beside // len(plots)) * len(plots), beside, len(drawn))
    rows = ceil(len(drawn) / columns)
    wide = max(WIDTH * columns, 6.4) if width is None else width
    high = HEIGHT if width is None else HEIGHT / WIDTH * width / columns
    with mpl.rc_context(_RC if width is None else _RC | _SLIM):
        figure = Figure(figsize=(wide, high * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).flat
        for axes, (title, part, plot) in zip(grid, drawn, strict=False):
            plot(part, ax=axes, places=places)
            axes.set_title(_title(title, wide / columns), fontsize="medium")
        for axes in grid[len(drawn) :]:
            axes.set_visible(False)
        FigureCanvasAgg(figure)  # lets legends be measured
        if key := share(figure):
            under = key.get_window_extent().height
        else:
            legends = [legend for axes in grid if (legend := axes.get_legend())]
            under = rows * max((each.get_window_extent().height for each in legends), default=0)
        figure.set_figheight(rows * high + under / figure.dpi)
    return figure


def palette(runs: Iterable[Trajectory], group_by: Sequence[str]) -> dict[str, int]:
    """Give each group of runs its place in the palette, whatever the order of the files."""
    keys = group_columns(group_by)[1:]
    return ranks(sorted({label(group_keys(run, group_by), keys) for run in runs} - {""}))


def _title(name: str, width: float) -> str:
    """Return what stands over a panel that is so many inches wide."""
    letters = (width - 1.3) / (0.0086 * mpl.rcParams["font.size"])
    return plain(fitted(name, int(letters)))


def render(figure: Figure, kind: str) -> bytes:
    """Return the bytes of a figure's file, of ``"png"``, ``"svg"`` or ``"pdf"``, dot or not.

    They hold no date, so that the same figure gives the same bytes.
    """
    file = io.BytesIO()
    date = {"svg": "Date", "pdf": "CreationDate"}.get(kind := kind.removeprefix("."))
    with mpl.rc_context(_RC):
        figure.savefig(file, format=kind, dpi=200, metadata={date: None} if date else None)
    return file.getvalue()


def svg(figure: Figure, prefix: str) -> str:
    """Write a figure as an element that can stand in a page beside others.

    It begins with ``<svg``, without the XML declaration and metadata, and takes the font of the
    page. The prefix is put before
    every id, because ids have to differ within a page.
    """
    text = render(figure, "svg").decode()
    element = re.sub(
        r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL
    )
    short = re.sub("<[^>]*>", _short, re.sub(r">\s*\n\s*<", "><", element))
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", short)


def _short(tag: re.Match[str]) -> str:
    """Write a tag in half the bytes: tenths of a point are seen by nobody, nor are line breaks."""
    spared = re.sub(r"\s+", " ", re.sub(r"font-family: [^;\"]*;? ?", "", tag[0]))
    rounded = re.sub(r"(\d\.\d)\d+", r"\1", spared)
    return re.sub(r"\.0(?!\d)| (?=\")", "", rounded)


def _parts(result: Result, panels: Sequence[str]) -> Iterator[tuple[str, Result]]:
    """Split a result by the values of its first table, which is the one that is drawn."""
    tables = result.tables()
    drawn = next(iter(tables.values()))
    if drawn.empty:
        yield "", result
        return
    parts = list(series(drawn, panels))
    varying = [key for key in panels if len({part.key.get(key) for part in parts}) > 1]
    for part in parts:
        selected: dict[str, Any] = {
            name: part.of(table) for name, table in tables.items() if set(part.key) <= set(table)
        }
        yield apart(part.key, varying), replace(result, **selected)
