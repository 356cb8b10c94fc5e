"""The weight of each task over training."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from trajlab.analysis import Weighting
from trajlab.plots.figure import figure
from trajlab.plots.key import legend
from trajlab.plots.style import Places, say, series

WINDOWS = 50  # points of a line


@figure
def weighting(result: Weighting, ax: Axes, places: Places | None) -> None:
    """Draw each task's share of the weights over training.

    A line is the mean over a window of steps and over the runs of a group, its band the middle
    80 % of them.
    """
    del places  # tasks have colours of their own, by their names
    ax.set(xlabel="step", ylabel="share of the weights")
    known = result.weights.dropna(subset=["share"])
    if known.empty:
        say(ax, "no step with a weight of every task")
        return
    lines = list(series(known, ("condition", *result.settings["group_by"], "task"), ("task",)))
    for line in lines:
        steps = line.rows["step"]
        windows = pd.cut(steps, WINDOWS) if steps.nunique() > WINDOWS else steps
        rows = line.rows.groupby(windows, observed=True)
        middle = rows["step"].mean().to_numpy(float)
        low, high = (rows["share"].quantile(q).to_numpy(float) for q in (0.1, 0.9))
        shade = min(0.15, 0.5 / len(lines))
        ax.fill_between(middle, low, high, color=line.color, alpha=shade, linewidth=0)
        style = {"color": line.color, "linestyle": line.dash, "marker": line.marker}
        mean = rows["share"].mean().to_numpy(float)
        every = max(1, len(middle) // 10)
        ax.plot(middle, mean, markersize=4, markevery=every, label=line.label, **style)
    legend(ax, bands={"middle 80 % of steps": 0.15})
    sns.despine(ax=ax)
