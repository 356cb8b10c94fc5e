"""Pareto fronts of methods."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from trajlab.analysis import Front
from trajlab.plots.figure import figure
from trajlab.plots.key import legend
from trajlab.plots.style import Places, Series, plain, say, series


@figure
def front(result: Front, ax: Axes, places: Places | None) -> None:
    """Draw the configurations of each method in two objectives; chosen ones filled and joined.

    Of more than two objectives the first two are drawn. Chosen ones have bars: the t intervals over
    the runs that are reported, fresh ones where there are any.
    """
    x, y = _label(ax, result)
    points = result.points.dropna(subset=[x, y]) if len(result.points) else result.points
    if points.empty:
        say(ax, "no configuration was measured")
        return
    for line in series(points, ("setting", "method"), ("method",), places):
        label = "\n".join([line.label, *_distance(line.of(result.distance))])
        _draw(ax, line, x, y, line.rows["chosen"].astype(bool), label)
        if len(result.chosen):
            _intervals(ax, line.of(result.chosen), x, y, line.color)
    legend(ax)
    sns.despine(ax=ax)


@figure
def training_front(result: Front, ax: Axes, places: Places | None) -> None:
    """Draw the configurations of each method on the training set; its front there filled, joined.

    The front is chosen by the training set itself: what a method can fit, not what it is to be
    chosen by.
    """
    x, y = _label(ax, result, " on the training set")
    if result.training.empty:
        say(ax, "no run was evaluated on the training set")
        return
    for line in series(result.training, ("setting", "method"), ("method",), places):
        _draw(ax, line, x, y, line.rows["on_front"].astype(bool), line.label)
    legend(ax)
    sns.despine(ax=ax)


def _label(ax: Axes, result: Front, where: str = "") -> tuple[str, str]:
    """Name the axes after the first two objectives, which are returned."""
    first, second = list(result.settings["objective"].items())[:2]
    for (name, way), label in ((first, ax.set_xlabel), (second, ax.set_ylabel)):
        label(f"{plain(name)}{where} ({'more' if way == 'max' else 'less'} is better)")
    return first[0], second[0]


def _draw(ax: Axes, line: Series, x: str, y: str, filled: pd.Series, label: str) -> None:
    order = line.rows[x].to_numpy(float).argsort(kind="stable")
    rows, taken = line.rows.iloc[order], filled.iloc[order]
    style = {"color": line.color, "marker": line.marker}
    ax.plot(rows[x], rows[y], linestyle="none", markerfacecolor="white", alpha=0.6, **style)
    ax.plot(rows.loc[taken, x], rows.loc[taken, y], linestyle=line.dash, label=label, **style)


def _intervals(ax: Axes, chosen: pd.DataFrame, x: str, y: str, color: Any) -> None:
    sides = [chosen[chosen["objective"] == name].set_index("configuration") for name in (x, y)]
    known = sides[0].index.intersection(sides[1].index)
    across, along = (side.loc[known] for side in sides)
    if not np.isfinite(across["low"]).any():
        return
    bars = [
        np.array([own["mean"] - own["low"], own["high"] - own["mean"]]) for own in (across, along)
    ]
    ax.errorbar(
        across["mean"],
        along["mean"],
        xerr=bars[0],
        yerr=bars[1],
        linestyle="none",
        color=color,
        alpha=0.5,
        linewidth=1,
    )


def _distance(table: pd.DataFrame) -> list[str]:
    said = []
    for row in table.to_dict("records"):
        known = f"{row['signed_distance']:+.3g}" if pd.notna(row["signed_distance"]) else "unknown"
        interval = f" [{row['low']:+.3g}, {row['high']:+.3g}]" if pd.notna(row["low"]) else ""
        said.append(f"distance {known}{interval}")
    return said
