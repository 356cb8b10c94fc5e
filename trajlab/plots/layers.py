"""Conflict layer by layer, over training."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from trajlab.analysis import Conflict
from trajlab.plots.figure import figure
from trajlab.plots.style import Places, fitted, plain, say

COLUMNS = 40  # windows of steps
NAMED = 30  # layers that have room for their names


@figure
def layers(result: Conflict, ax: Axes, places: Places | None) -> None:
    """Draw the cosine of task gradients as a map: layers downwards, steps to the right.

    A cell is the mean over a window of steps, the pairs of tasks and the runs; cells below zero are
    hatched.
    """
    del places  # a map has none
    pairs = result.pairs.dropna(subset=["cosine"]).query("layer != 'all'")
    ax.set_xlabel("step")
    if pairs.empty:
        say(ax, "no layer with two task gradients")
        return
    names = [name for name in result.pairs["layer"].unique() if name != "all"]
    windows = pd.cut(pairs["step"], COLUMNS) if pairs["step"].nunique() > COLUMNS else pairs["step"]
    means = pairs.assign(middle=pairs.groupby(windows, observed=True)["step"].transform("mean"))
    means = means.pivot_table(index="layer", columns="middle", values="cosine").reindex(names)
    cells, middles = np.ma.masked_invalid(means.to_numpy(float)), means.columns.to_numpy(float)
    place = middles, range(len(names))
    most = float(np.abs(cells).max())
    mesh = ax.pcolormesh(*place, cells, vmin=-most, vmax=most, cmap="cividis")
    below = np.ma.masked_where(np.ma.filled(cells, 1.0) >= 0, cells)
    clear = ListedColormap(["none"])
    ax.pcolor(*place, below, hatch="////", cmap=clear, shading="nearest")
    if len(names) <= NAMED:
        ax.set_yticks(range(len(names)), [plain(fitted(name)) for name in names], fontsize="small")
    else:
        ax.set_ylabel(f"{len(names)} layers, in the order of the model")
    ax.invert_yaxis()
    number = len(pairs[["task_a", "task_b"]].drop_duplicates())
    of = "" if number == 1 else f", mean of {number} pairs"
    figure = ax.figure
    if figure is not None:
        figure.colorbar(mesh, ax=ax, label=f"cosine of the task gradients{of} (hatched below 0)")
