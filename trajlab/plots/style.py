"""What every figure shares: series told apart without colour, and how they are named."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from trajlab.escapes import inert

INK = "0.25"

_COLORS = sns.color_palette("colorblind")
_DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (10, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


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
        How it is drawn: without colour, dash and marker together tell 35 apart.
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


def series(table: pd.DataFrame, keys: Sequence[str], alone: Sequence[str] = ()) -> Iterator[Series]:
    """Split a table into the series of a figure, in order of appearance.

    Parameters
    ----------
    table
        Tidy rows.
    keys
        Columns whose combinations of values are the series; those the table lacks are ignored.
    alone
        Columns that name a series if there is only one.

    Yields
    ------
    Series
    """
    table = table.reset_index(drop=True)
    present = [key for key in keys if key in table]
    names = _names(table, present)
    varying = [name for name in present if len(set(names[name])) > 1]
    for number, (_, rows) in enumerate(names.groupby(present, sort=False)):
        key = {name: str(rows[name].iloc[0]) for name in present}
        yield Series(
            label=plain(" · ".join(key[name] for name in varying or alone if key.get(name))),
            key=key,
            rows=table.loc[rows.index],
            color=_COLORS[number % len(_COLORS)],
            dash=_DASHES[number % len(_DASHES)],
            marker=_MARKERS[number % len(_MARKERS)],
        )


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


def legend_below(ax: Axes) -> None:
    """Put the legend under the axes, where it hides no point; none where nothing is named."""
    if not ax.get_legend_handles_labels()[1]:
        return
    inches = 0.45 + 0.2 * ax.get_xlabel().count("\n")  # tick labels and the axis label stand there
    below = ScaledTranslation(0, -inches, ax.figure.dpi_scale_trans)
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0)}
    ax.legend(
        frameon=False, fontsize="small", ncols=2, **place, bbox_transform=ax.transAxes + below
    )


def _names(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    return table[list(keys)].fillna("").astype(str)
