"""The figure of a result, in panels, and the bytes of its file."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil
from pkgutil import resolve_name
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from trajlab.analysis.interface.result import Result
from trajlab.plots.style import series
from trajlab.report.catalog import ANALYSES

BESIDE = 3  # panels in a row
WIDTH, HEIGHT = 4.6, 3.6  # inches of a panel

_RC: Any = {  # matplotlib types the keys as literals
    "font.size": 9,
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's own font
    "svg.hashsalt": "trajlab",  # the same result gives the same bytes
    "pdf.fonttype": 42,
}


def draw(name: str, result: Result) -> Figure:
    """Draw a result with the figure the catalog names for it, one panel a part.

    Parameters
    ----------
    name
        The analysis's name in the catalog.
    result
        The result that the analysis returned.

    Returns
    -------
    Figure
        Not known to pyplot, so nothing has to be closed.
    """
    entry = ANALYSES[name]
    parts = list(_parts(result, entry.panels))
    plots = [resolve_name(f"trajlab.plots:{name}")]
    plots += [
        resolve_name(plot) for table, plot in entry.beside.items() if len(getattr(result, table))
    ]
    drawn = [(title, part, plot) for title, part in parts for plot in plots]
    columns = min(BESIDE // len(plots) * len(plots), len(drawn))
    rows = ceil(len(drawn) / columns)
    with mpl.rc_context(_RC):
        size = (max(WIDTH * columns, 6.4), HEIGHT * rows)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).flat
        for axes, (title, part, plot) in zip(grid, drawn, strict=False):
            plot(part, ax=axes)
            axes.set_title(title if len(parts) > 1 else "", fontsize="medium")
        for axes in grid[len(drawn) :]:
            axes.set_visible(False)
    return figure


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
    for part in series(drawn, panels):
        selected: dict[str, Any] = {
            name: part.of(table) for name, table in tables.items() if set(part.key) <= set(table)
        }
        yield part.label, replace(result, **selected)
