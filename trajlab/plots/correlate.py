"""A correlation, as the points behind it."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from trajlab.analysis import Correlation
from trajlab.plots.figure import figure
from trajlab.plots.style import Places, Series, fitted, legend, plain, say, series

NAMED = 12  # points that have room for their names


@figure
def correlate(result: Correlation, ax: Axes, places: Places | None) -> None:
    """Draw the units of a correlation, and say its estimates with their intervals."""
    ax.set_xlabel(plain(fitted(result.settings["x"].replace("_", " "))))
    ax.set_ylabel(plain(fitted(result.settings["y"].replace("_", " "))))
    points = result.points.dropna(subset=["x_value", "y_value"])
    if points.empty:
        say(ax, "no unit has both quantities")
        return
    kinds = list(series(points, ("setting", "task", "metric", "group"), ("group",), places))
    for kind in kinds:
        ax.scatter(
            kind.rows["x_value"],
            kind.rows["y_value"],
            color=kind.color,
            marker=kind.marker,
            label="\n".join(
                [_name(kind, result.settings["within"]), *_estimates(kind.of(result.correlations))]
            ),
        )
    if len(points) <= NAMED:
        middle = points["x_value"].mean()
        for unit, x, y in points[["unit", "x_value", "y_value"]].itertuples(index=False):
            left, ha = (5, "left") if x <= middle else (-5, "right")  # towards the middle
            place: dict[str, Any] = {"textcoords": "offset points", "fontsize": "small", "ha": ha}
            ax.annotate(plain(fitted(str(unit))), (x, y), (left, 4), **place)
    ax.margins(0.2)
    legend(ax)
    sns.despine(ax=ax)


def _name(kind: Series, within: str | None) -> str:
    alone = within and kind.label == plain(kind.key["group"])
    return f"{plain(str(within))} {kind.label}" if alone else kind.label


def _estimates(correlations: pd.DataFrame) -> list[str]:
    said = []
    for row in correlations.to_dict("records"):
        interval = f"[{row['low']:.2f}, {row['high']:.2f}]"
        known = f"{row['estimate']:.2f} {interval if pd.notna(row['low']) else 'no interval'}"
        estimate = f"{known}, p = {row['p_value']:.2g}" if pd.notna(row["estimate"]) else "unknown"
        statistic = str(row["statistic"]).replace("_", " ")
        given = f" given {plain(fitted(row['given']))}\n" if row["given"] else " "
        said.append(f"{statistic}{given}{estimate}, n = {row['n']}")
    return said
