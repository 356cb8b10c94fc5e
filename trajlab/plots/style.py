"""What every figure shares: series told apart without colour, and how they are named."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from trajlab.escapes import inert

INK = "0.25"

# Colours that differ for the colour-blind; marks in an order of their own, so that all repeat late.
PALETTE = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#949494", "#56b4e9")
_DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (10, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P")
LONGEST = 24  # letters of a name in a figure: the tables have it in full
MOST_NAMED = 40  # series that a legend names
_LETTER, _HANDLE = 0.007, 0.06  # inches of a letter and of a handle, by points of the font

Places = Mapping[str, int]  # a group's name to its place in the palette


@dataclass(frozen=True)
class Series:
    """One line, or one kind of point, of a figure.

    Attributes
    ----------
    label
        Words that tell it from the other series of the figure.
    key
        Its values in the columns that make it a series.
    rows
        The rows of the table that it draws.
    color, dash, marker
        How it is drawn: without colour, dash and marker together tell 30 apart.
    """

    label: str
    key: Mapping[str, str]
    rows: pd.DataFrame
    color: Any
    dash: Any
    marker: str

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of another table that have this key."""
        return table.loc[(_names(table, list(self.key)) == pd.Series(self.key)).all(axis="columns")]


def series(
    table: pd.DataFrame,
    keys: Sequence[str],
    alone: Sequence[str] = (),
    places: Places | None = None,
) -> Iterator[Series]:
    """Split a table into the series of a figure, in order of appearance.

    Parameters
    ----------
    table
        Tidy rows.
    keys
        Columns whose combinations of values are the series; those the table lacks are ignored.
    alone
        Columns that name a series if there is only one. What it has in these, and in those of
        ``keys`` that follow the first of them, gives it its colour.
    places
        Place of each such name in the palette; by default in the order of the names, whatever that
        of the rows.

    Yields
    ------
    Series
    """
    table = table.reset_index(drop=True)
    present = [key for key in keys if key in table]
    names = _names(table, present)
    varying = [name for name in present if len(set(names[name])) > 1]
    first = min((present.index(key) for key in alone if key in present), default=0)
    parts = [
        ({name: str(rows[name].iloc[0]) for name in present}, rows.index)
        for _, rows in names.groupby(present, sort=False)
    ]
    groups = [label(key, present[first:]) for key, _ in parts]
    known = placed(groups, places)
    seen: Counter[str] = Counter()
    for (key, rows), group in zip(parts, groups, strict=True):
        place, again = known[group], seen[group]
        seen[group] += 1
        yield Series(
            label=plain(fitted(label(key, varying or alone))),
            key=key,
            rows=table.loc[rows],
            color=PALETTE[place % len(PALETTE)],
            dash=_DASHES[(place + again // len(_MARKERS)) % len(_DASHES)],
            marker=_MARKERS[(place + again) % len(_MARKERS)],
        )


def placed(groups: Iterable[str], places: Places | None = None) -> Places:
    """Return a place of each group in the palette: the given one, or behind those by its name."""
    known = dict(places or {})
    further = count(max(known.values(), default=-1) + 1)
    return known | {name: next(further) for name in sorted(set(groups) - known.keys())}


def label(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Name the group of a row: the same words, and so the same colour, in every figure."""
    return " · ".join(str(row[key]) for key in keys if row.get(key))


def fitted(name: str, most: int = LONGEST) -> str:
    """Return a name that is not too long for a figure: its ends tell more than its middle."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def plain(name: str) -> str:
    """Return a name so that matplotlib draws it letter by letter.

    It would set what stands between two dollars as mathematics, and leave out of a legend what
    begins with an underscore; a control character is none of an SVG's.
    """
    drawn = inert(name).replace("$", r"\$")
    return f" {drawn}" if drawn.startswith("_") else drawn


def say(ax: Axes, sentence: str) -> None:
    """Write into axes that have nothing to show why that is."""
    ax.set(xticks=[], yticks=[])
    ax.text(0.5, 0.5, sentence, transform=ax.transAxes, ha="center", va="center", color=INK)


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


def _names(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    return table[list(keys)].fillna("").astype(str)
