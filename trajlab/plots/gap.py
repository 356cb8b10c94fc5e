"""The generalization gap over training loss."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from trajlab.analysis import Gap
from trajlab.analysis.runs.quantities import is_quantity
from trajlab.plots.style import INK, Series, say, series


def gap(result: Gap, ax: Axes | None = None) -> Axes:
    """Draw the gap to the baseline at equal training loss, as the paper's figure 1 does.

    Training runs from left to right: the loss falls along a logarithmic axis. A line is one
    comparison, underlaid where it is significant; the shade is the interval at each loss, the paler
    one around it is to hold the whole curve at once; the large mark is the onset. The upright bar
    ends the line at the lowest loss that all runs' curves share: the gap there with its interval,
    which the verdict tells as that at equal training loss.

    Parameters
    ----------
    result
        What :func:`trajlab.analysis.gap` returned.
    ax
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    References
    ----------
    D. Mueller, M. Dredze, N. Andrews, "Can Optimization Trajectories Explain Multi-Task
    Transfer?", TMLR 2024, figure 1.
    """
    ax = ax if ax is not None else plt.subplots(layout="constrained")[1]
    curve = result.curve.dropna(subset=["gap"])
    group_by = result.settings["group_by"]
    keys = ("setting", "task", "metric", "condition", "method", *group_by)
    for line in series(curve, keys, alone=("condition", "method")):
        told = line.of(result.summary).iloc[0]
        _draw(ax, line, told["onset_loss"])
        _end(ax, line, told)
    ax.set_xlabel("training loss (falls from left to right)")
    if curve.empty:
        say(ax, "no training loss that both sides reach")
        return ax
    ax.axhline(0, color=INK, linewidth=0.8, zorder=1)
    score, baseline = (" or ".join(curve[name].unique()) for name in ("metric", "baseline"))
    quantity = any(map(is_quantity, curve["metric"]))
    label = f"difference in {score} (up is larger)" if quantity else f"gap in {score}"
    ax.set_ylabel(label if quantity else f"{label} (up is better)")
    ax.set_xscale("log")
    if not ax.xaxis_inverted():
        ax.invert_xaxis()
    # The simultaneous band is wide where training begins, and may leave the picture there.
    ends = result.summary[["matched_low", "matched_high"]].to_numpy(float)
    shown = np.append(curve[["gap", "low", "high"]].to_numpy(float), ends)
    margin = 0.1 * np.ptp(shown[np.isfinite(shown)]) or 1.0
    ax.set_ylim(np.nanmin([*shown.ravel(), 0]) - margin, np.nanmax([*shown.ravel(), 0]) + margin)
    ax.legend(title=f"against {baseline}", frameon=False)
    sns.despine(ax=ax)
    return ax


def _draw(ax: Axes, line: Series, onset: float) -> None:
    rows = line.rows.sort_values("train_loss")
    loss, height = rows["train_loss"].to_numpy(float), rows["gap"].to_numpy(float)
    for low, high, shade in (("low", "high", 0.18), ("band_low", "band_high", 0.07)):
        ax.fill_between(loss, rows[low], rows[high], color=line.color, alpha=shade, linewidth=0)
    significant = np.where(rows["significant"].fillna(False).astype(bool), height, np.nan)
    ax.plot(loss, significant, color=line.color, alpha=0.35, linewidth=6, solid_capstyle="butt")
    begins = np.isfinite(onset)
    ax.plot(
        loss,
        height,
        color=line.color,
        linestyle=line.dash,
        marker=line.marker,
        markersize=4,
        markevery=max(1, len(loss) // 8),
        label=f"{line.label}, onset at {onset:.2g}" if begins else f"{line.label}, no onset",
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


def _end(ax: Axes, line: Series, told: pd.Series) -> None:
    """Draw the line on to the common loss, which lies between two points of its grid."""
    lowest = line.rows.nsmallest(1, "train_loss")
    loss, height = told["common_loss"], told["matched"]
    ends = [[height - told["matched_low"]], [told["matched_high"] - height]]
    ax.plot([lowest["train_loss"].iloc[0], loss], [lowest["gap"].iloc[0], height], color=line.color)
    ax.errorbar(
        loss, height, ends, fmt="none", ecolor=line.color, capsize=4, elinewidth=1.4, zorder=3
    )
