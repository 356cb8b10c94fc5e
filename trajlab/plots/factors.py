"""Factors that differ between groups of runs, at the end and at equal training loss."""

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from trajlab.analysis import Factors
from trajlab.analysis.factors.quadrants import factor_names
from trajlab.plots.figure import figure
from trajlab.plots.style import INK, Places, fitted, legend, plain, say, series

CLEAR = 2  # standard errors
EDGE = 12  # beyond so many, a mark stands at the edge


@figure
def factors(result: Factors, ax: Axes, places: Places | None) -> None:
    """Draw each factor's difference to the baseline, in standard errors, better to the right."""
    points = result.delta.assign(factor=factor_names(result.delta)).dropna(subset=["z"])
    ax.set_xlabel("difference to the baseline\nin standard errors (right is better)")
    if points.empty:
        say(ax, "no factor with two runs on either side")
        return
    names = list(dict.fromkeys(points["factor"]))[::-1]
    for place in (-CLEAR, 0, CLEAR):
        ax.axvline(place, color=INK, linewidth=0.8, linestyle="-" if place == 0 else ":", zorder=1)
    keys = ("setting", "task", "condition", "method", *result.settings["group_by"])
    lines = list(series(points, keys, alone=("condition", "method"), places=places))
    for number, line in enumerate(lines):
        shift = 0.8 * (number + 0.5) / len(lines) - 0.4
        for ended in (True, False):
            rows = line.rows[(line.rows["at"] == "end") == ended]
            height = np.array([names.index(name) for name in rows["factor"]]) - shift
            ax.plot(
                np.clip(rows["z"] * rows["better"], -EDGE, EDGE),
                height + (0.16 if ended else -0.16) / len(lines),
                color=line.color,
                marker=line.marker,
                linestyle="none",
                markerfacecolor=line.color if ended else "white",
                label=line.label if ended else None,
            )
    for fill, label in ((INK, "over whole runs"), ("white", "at equal training loss")):
        ax.plot([], [], color=INK, marker="o", linestyle="none", markerfacecolor=fill, label=label)
    ax.set_yticks(range(len(names)), [plain(fitted(name.replace("_", " "))) for name in names])
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.set_xlim(-EDGE - 1, EDGE + 1)
    if (points["z"].abs() > EDGE).any():
        ax.set_xlabel(f"{ax.get_xlabel()}\nmarks at the edge are beyond {EDGE}")
    legend(ax)
    sns.despine(ax=ax)
