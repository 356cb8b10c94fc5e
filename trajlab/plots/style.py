"""What every figure shares: series told apart without colour, and how they are named."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from trajlab.escapes import inert

INK = "0.25"

# Colours that differ for the colour-blind; marks in an order of their own, so that all repeat late.
PALETTE = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#949494", "#56b4e9")
_DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (10, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P")
LONGEST = 24  # letters of a name in a figure: the tables have it in full

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
            label=plain(fitted(apart(key, varying) or label(key, alone))),
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


def apart(row: Mapping[str, Any], varying: Sequence[str]) -> str:
    """Name a group by what tells it from others, which may be that it has none of it."""
    return label(row, varying) or " · ".join(f"no {name}" for name in varying)


def named(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[str]:
    """Name the group of each row, and the one without a name by what it lacks and others have."""
    varying = [key for key in keys if len({str(row.get(key) or "") for row in rows}) > 1]
    return [label(row, keys) or apart({}, varying) for row in rows]


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


def _names(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    return table[list(keys)].fillna("").astype(str)
