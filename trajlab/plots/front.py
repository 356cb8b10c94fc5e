"""Pareto fronts of methods."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from trajlab.analysis import Front
from trajlab.plots.figure import figure
from trajlab.plots.style import legend_below, say, series


@figure
def front(result: Front, ax: Axes) -> None:
    """Draw the configurations of each method in two objectives; chosen ones filled and joined.

    Of more than two objectives the first two are drawn.
    """
    first, second = list(result.settings["objective"].items())[:2]
    for (name, way), label in ((first, ax.set_xlabel), (second, ax.set_ylabel)):
        label(f"{name} ({'more' if way == 'max' else 'less'} is better)")
    x, y = first[0], second[0]
    points = result.points.dropna(subset=[x, y]) if len(result.points) else result.points
    if points.empty:
        say(ax, "no configuration was measured")
        return
    for line in series(points, ("setting", "method"), alone=("method",)):
        rows = line.rows.sort_values(x)
        chosen = rows["chosen"].astype(bool)
        style = {"color": line.color, "marker": line.marker}
        ax.plot(rows[x], rows[y], linestyle="none", markerfacecolor="white", alpha=0.6, **style)
        ax.plot(
            rows.loc[chosen, x],
            rows.loc[chosen, y],
            linestyle=line.dash,
            label="\n".join([line.label, *_distance(line.of(result.distance))]),
            **style,
        )
    legend_below(ax)
    sns.despine(ax=ax)


def _distance(table: pd.DataFrame) -> list[str]:
    said = []
    for row in table.to_dict("records"):
        known = f"{row['signed_distance']:+.3g}" if pd.notna(row["signed_distance"]) else "unknown"
        interval = f" [{row['low']:+.3g}, {row['high']:+.3g}]" if pd.notna(row["low"]) else ""
        said.append(f"distance {known}{interval}")
    return said
