"""The key of a figure: under its axes, in columns, and once where panels would repeat it."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from trajlab.plots.style import INK

MOST_NAMED = 40  # series that a legend names
_LETTER, _HANDLE = 0.007, 0.06  # inches of a letter and of a handle, by points of the font
_MARGIN = 0.3  # inches beside a key of a whole figure


def legend(ax: Axes, title: str = "", bands: Mapping[str, float] | None = None) -> None:
    """Put the legend under the axes, where it hides no point; none where nothing is named.

    Parameters
    ----------
    ax
        Axes that were drawn in.
    title
        What the series are held against.
    bands
        What each shade stands for, and how dark it is.
    """
    handles, labels = ax.get_legend_handles_labels()
    if len(labels) > MOST_NAMED:
        handles, labels = handles[: MOST_NAMED - 1], labels[: MOST_NAMED - 1]
        left_out = len(ax.get_legend_handles_labels()[1]) - len(labels)
        handles.append(Patch(alpha=0))
        labels.append(f"… and {left_out} more")
    for name, shade in (bands or {}).items() if labels else ():
        handles.append(Patch(color=INK, alpha=shade, linewidth=0))
        labels.append(name)
    if not labels:
        return
    below = ScaledTranslation(0, -_under(ax), ax.figure.dpi_scale_trans)
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0)}
    ax.legend(
        handles,
        labels,
        title=title or None,
        title_fontsize="small",
        frameon=False,
        fontsize="small",
        ncols=columns(labels, ax.get_window_extent().width / ax.figure.dpi),
        **place,
        bbox_transform=ax.transAxes + below,
    )


def share(figure: Figure) -> Legend | None:
    """Put one key under the whole figure in place of those of its panels, if it tells as much.

    Parameters
    ----------
    figure
        A figure whose panels may have legends.

    Returns
    -------
    Legend or None
        The key; None, and nothing is changed, where fewer than two panels have one, or where the
        longest does not hold all the others, each name drawn alike and under one title.
    """
    legends = [legend for axes in figure.axes if (legend := axes.get_legend())]
    if len(legends) < 2:
        return None
    longest = max(legends, key=lambda legend: len(legend.get_texts()))
    title, looks = longest.get_title().get_text(), _looks(longest)
    if any(
        legend.get_title().get_text() != title or not _looks(legend).items() <= looks.items()
        for legend in legends
    ):
        return None
    for legend in legends:
        legend.remove()
    key: Legend = figure.legend(
        [handle for handle in longest.legend_handles if handle is not None],
        list(looks),
        title=title or None,
        title_fontsize="small",
        frameon=False,
        fontsize="small",
        ncols=columns(list(looks), figure.get_figwidth() - _MARGIN),
        loc="outside lower center",
    )
    return key


def _looks(legend: Legend) -> dict[str, tuple[Any, ...]]:
    """Return all that tells the handles of a legend apart, by their names."""
    named = zip(legend.get_texts(), legend.legend_handles, strict=True)
    return {text.get_text(): _look(handle) for text, handle in named}


def _look(handle: Any) -> tuple[Any, ...]:
    if isinstance(handle, Line2D):
        color, face = to_rgba(handle.get_color()), handle.get_markerfacecolor()
        return color, handle.get_linestyle(), handle.get_marker(), face
    return tuple(np.ravel(handle.get_facecolor()))


def columns(labels: Sequence[str], width: float) -> int:
    """Return in how many columns the labels of a legend find room in so many inches."""
    size = float(mpl.rcParams["font.size"])
    widths = [
        size * (_HANDLE + _LETTER * max(map(len, each.replace(r"\$", "$").split("\n"))))
        for each in labels
    ]

    def taken(number: int) -> float:
        high = ceil(len(widths) / number)
        return sum(max(widths[first : first + high]) for first in range(0, len(widths), high))

    fitting = [number for number in range(1, len(labels) + 1) if taken(number) <= width]
    return max(fitting, default=1)


def _under(ax: Axes) -> float:
    """Return the inches that tick labels and the axis label take under the axes."""
    return 0.45 + 0.2 * ax.get_xlabel().count("\n")
