"""The path of the weights in the plane of its first two principal components."""

import seaborn as sns
from matplotlib.axes import Axes

from trajlab.analysis import Geometry
from trajlab.plots.figure import figure
from trajlab.plots.key import legend
from trajlab.plots.style import Places, say, series


@figure
def geometry(result: Geometry, ax: Axes, places: Places | None) -> None:
    """Draw each run's path; a large mark is where it ends."""
    if result.projection.empty or "component_2" not in result.projection:
        say(ax, "fewer than two components")
        return
    shares = result.explained.set_index("component")["explained"]
    for number, label in ((1, ax.set_xlabel), (2, ax.set_ylabel)):
        label(f"component {number} ({shares.loc[[number]].iloc[0]:.0%} of the variance)")
    keys = ("setting", "condition", "method", *result.settings["group_by"])
    for line in series(result.projection, keys, alone=("condition", "method"), places=places):
        style = {"color": line.color, "linestyle": line.dash}
        for number, (_, rows) in enumerate(line.rows.groupby("run", sort=False)):
            rows = rows.sort_values("step")
            x, y = rows["component_1"].to_numpy(float), rows["component_2"].to_numpy(float)
            ax.plot(x, y, linewidth=1, label=line.label if number == 0 else None, **style)
            ax.plot(x[-1:], y[-1:], color=line.color, marker=line.marker)
    legend(ax)
    sns.despine(ax=ax)
