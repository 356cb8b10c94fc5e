"""Conflict between examples beside that between tasks."""

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from trajlab.analysis import Conflict
from trajlab.plots.figure import figure
from trajlab.plots.key import legend
from trajlab.plots.style import INK, Places, say, series


@figure
def examples(result: Conflict, ax: Axes, places: Places | None) -> None:
    """Draw the mean cosine of gradients of examples and of tasks, over the examples in a gradient.

    Only points of one size can be compared: a gradient of few examples is noisier. Bars are the
    intervals over runs.
    """
    del places  # what is compared are kinds of gradients
    ax.set(xlabel="examples in a gradient", ylabel="mean cosine of two gradients")
    if result.examples.empty:
        say(ax, "gradients of examples were not recorded")
        return
    keys = ("setting", "condition", "method", *result.settings["group_by"], "between")
    for line in series(result.examples, keys, alone=("between",)):
        rows = line.rows.sort_values("size")
        bars = np.array([rows["cosine"] - rows["cosine_low"], rows["cosine_high"] - rows["cosine"]])
        ax.errorbar(
            rows["size"],
            rows["cosine"],
            yerr=bars,
            color=line.color,
            linestyle=line.dash,
            marker=line.marker,
            label=line.label,
        )
    ax.axhline(0, color=INK, linewidth=0.8, zorder=1)
    ax.set_xscale("log", base=2)
    legend(ax)
    sns.despine(ax=ax)
