"""The generalization gap over training loss."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from trajlab.analysis import Gap
from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.interface.tables import records
from trajlab.analysis.runs.recorded import is_quantity
from trajlab.plots.figure import figure
from trajlab.plots.key import legend
from trajlab.plots.style import INK, Places, Series, fitted, plain, say, series

WILD = 4  # times the usual width of an interval, from which on a gap may leave the picture
_BANDS = {"interval at each loss": 0.18, "band for the whole curve": 0.07}


@figure
def gap(result: Gap, ax: Axes, places: Places | None) -> None:
    """Draw the gap to the baseline at equal training loss, as the paper's figure 1 does.

    Training runs from left to right: the loss that is matched falls along a logarithmic axis, or
    the clock runs along it. A line is one comparison, underlaid where it is significant; the shade
    is the interval at each loss, the paler one around it is to hold the whole curve at once; the
    large mark is the onset, whose loss the key tells where the figure has one panel. The upright
    bar ends the line at the lowest loss that all runs' curves share: the gap there with its
    interval, which the verdict tells as that at equal loss.

    References
    ----------
    D. Mueller, M. Dredze, N. Andrews, "Can Optimization Trajectories Explain Multi-Task
    Transfer?", TMLR 2024, figure 1.
    """
    curve = result.curve.dropna(subset=["gap"])
    group_by = result.settings["group_by"]
    keys = ("setting", "task", "metric", "condition", "method", *group_by)
    at_end = ends(result)
    for line in series(curve, keys, alone=("condition", "method"), places=places):
        _draw(ax, line, line.of(result.summary)["onset_loss"].iloc[0])
        _end(ax, line, line.of(at_end))
    axis = result.options.axis
    ax.set_xlabel(f"{axis.name} (falls from left to right)" if axis.is_loss else axis.name)
    if curve.empty:
        say(ax, f"no {axis.name} that both sides reach")
        return
    ax.axhline(0, color=INK, linewidth=0.8, zorder=1)
    score, baseline = (
        plain(fitted(" or ".join(curve[name].unique()))) for name in ("metric", "baseline")
    )
    quantity = any(map(is_quantity, curve["metric"]))
    label = f"difference in {score} (up is larger)" if quantity else f"gap in {score}"
    ax.set_ylabel(label if quantity else f"{label} (up is better)")
    ax.set_xscale("log")
    if axis.is_loss and not ax.xaxis_inverted():
        ax.invert_xaxis()
    ax.set_ylim(vertical_range(pd.concat([curve, at_end])))
    legend(ax, f"against {baseline}", _BANDS)
    sns.despine(ax=ax)


def ends(result: Gap) -> pd.DataFrame:
    """Return the rows that end the curves: the gap at the common loss, as the verdict tells it.

    Parameters
    ----------
    result
        What :func:`trajlab.analysis.gap` returned; its interval at the common loss is always t.
    """
    known = result.summary.dropna(subset=["matched"])
    at = {"common_loss": "at", "matched": "gap"}
    at |= {"matched_low": "low", "matched_high": "high"}
    return known.rename(columns=at).reindex(columns=result.curve.columns)


def vertical_range(curve: pd.DataFrame) -> tuple[float, float]:
    """Return the range that the height is drawn in: the reliable part of the curve.

    Where training begins few runs have settled, and what is drawn there would flatten all the
    rest: the wider half of the intervals may leave the picture, and so may gaps whose interval is
    several times as wide as most.

    Parameters
    ----------
    curve
        Rows of ``curve`` of :func:`trajlab.analysis.gap`, each with a gap.
    """
    width = curve["high"] - curve["low"]
    told = curve.loc[~(width > WILD * width.median()), "gap"].to_numpy(float)
    reliable = curve.loc[width <= width.median(), ["low", "high"]].to_numpy(float)
    heights = np.concatenate([told, reliable.ravel(), [0.0]])
    heights = heights[np.isfinite(heights)]
    margin = 0.15 * np.ptp(heights) or 1.0
    return float(heights.min() - margin), float(heights.max() + margin)


def _draw(ax: Axes, line: Series, onset: float) -> None:
    rows = line.rows.sort_values("at")
    loss, height = rows["at"].to_numpy(float), rows["gap"].to_numpy(float)
    for low, high, shade in (("low", "high", 0.18), ("band_low", "band_high", 0.07)):
        ax.fill_between(loss, rows[low], rows[high], color=line.color, alpha=shade, linewidth=0)
    significant = np.where(rows["significant"].fillna(False).astype(bool), height, np.nan)
    ax.plot(loss, significant, color=line.color, alpha=0.35, linewidth=6, solid_capstyle="butt")
    begins = np.isfinite(onset)
    told = f"{line.label}, onset at {onset:.2g}" if begins else f"{line.label}, no onset"
    ax.plot(
        loss,
        height,
        color=line.color,
        linestyle=line.dash,
        marker=line.marker,
        markersize=4,
        markevery=max(1, len(loss) // 8),
        label=told if len(ax.figure.axes) == 1 else line.label,  # panels share the key
    )
    if begins:
        at = np.interp(np.log(onset), np.log(loss), height)
        ax.plot(
            onset,
            at,
            color=line.color,
            marker=line.marker,
            markersize=9,
            markerfacecolor="white",
            markeredgewidth=1.8,
            zorder=3,
        )


def _end(ax: Axes, line: Series, end: pd.DataFrame) -> None:
    """Draw the line on to the common loss, which lies between two points of its grid."""
    axis = Axis.of(records(line.rows)[0])
    last = line.rows.nsmallest(1, "at") if axis.is_loss else line.rows.nlargest(1, "at")
    joined = pd.concat([last, end])
    ax.plot(joined["at"], joined["gap"], color=line.color)
    bar = [(end["gap"] - end["low"]).tolist(), (end["high"] - end["gap"]).tolist()]
    ax.errorbar(
        *(end["at"], end["gap"], bar),
        **{"fmt": "none", "ecolor": line.color, "capsize": 4, "elinewidth": 1.4, "zorder": 3},
    )
