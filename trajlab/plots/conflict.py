"""Conflict between task gradients over training."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from trajlab.analysis import Conflict
from trajlab.plots.figure import figure
from trajlab.plots.key import legend
from trajlab.plots.layers import layers
from trajlab.plots.style import INK, Places, Series, say, series

WINDOWS = 50  # points of a line: a step's cosine is too noisy to be drawn by itself
DISTINCT = 10  # pairs that can still be told apart


@figure
def conflict(result: Conflict, ax: Axes, places: Places | None) -> None:
    """Draw the cosine of each pair of task gradients over training.

    A line is the mean over a window of steps and over the runs of a group, its band the middle
    80 % of them. More pairs than can be told apart are drawn as one line, their mean. Large marks
    are the mean noise-corrected cosine over runs, where it was measured. Of ``layers=True`` it is
    the map of :func:`trajlab.plots.layers`.
    """
    del places  # pairs of tasks have colours of their own, by their names
    if result.settings["layers"]:
        layers(result, ax)
        return
    pairs = drawn_pairs(result.pairs)
    ax.set_xlabel("step")
    ax.set_ylabel("cosine of the task gradients")
    ax.set_ylim(-1.05, 1.05)
    if pairs.empty:
        say(ax, "no step with two task gradients")
        return
    ax.axhline(0, color=INK, linewidth=0.8, zorder=1)
    keys = ("setting", "condition", "method", *result.settings["group_by"], "pair")
    lines = list(series(pairs, keys, alone=("pair",)))
    for line in lines:
        _draw(ax, line, shade=min(0.15, 0.5 / len(lines)))
        _draw_corrected(ax, line, result.corrected)
    legend(ax, bands={"middle 80 % of steps": 0.15})
    sns.despine(ax=ax)


def drawn_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of whole gradients with the column `pair`; many pairs are one, their mean.

    Parameters
    ----------
    pairs
        ``pairs`` of :func:`trajlab.analysis.conflict`.
    """
    rows = pairs.dropna(subset=["cosine"]).query("layer == 'all'")
    rows = rows.assign(pair=rows["task_a"] + " – " + rows["task_b"])
    if (number := rows["pair"].nunique()) > DISTINCT:
        rows = rows.assign(pair=f"mean of {number} pairs")
    return rows


def windowed(rows: pd.DataFrame) -> pd.DataFrame:
    """Average the cosine over windows of steps: `step, cosine`, and the middle 80 %, `low, high`.

    Parameters
    ----------
    rows
        Of one pair, of all runs of a group.
    """
    steps = rows["step"]
    windows = pd.cut(steps, WINDOWS) if steps.nunique() > WINDOWS else steps
    grouped = rows.groupby(windows, observed=True)
    cosine = grouped["cosine"]
    return pd.DataFrame(
        {
            "step": grouped["step"].mean().to_numpy(float),
            "cosine": cosine.mean().to_numpy(float),
            "low": cosine.quantile(0.1).to_numpy(float),
            "high": cosine.quantile(0.9).to_numpy(float),
        }
    )


def _draw(ax: Axes, line: Series, shade: float) -> None:
    window = windowed(line.rows)
    middle = window["step"].to_numpy(float)
    ax.fill_between(
        middle, window["low"], window["high"], color=line.color, alpha=shade, linewidth=0
    )
    ax.plot(
        middle,
        window["cosine"].to_numpy(float),
        color=line.color,
        linestyle=line.dash,
        marker=line.marker,
        markersize=4,
        markevery=max(1, len(middle) // 10),
        label=line.label,
    )


def _draw_corrected(ax: Axes, line: Series, corrected: pd.DataFrame) -> None:
    if corrected.empty:
        return
    named = corrected.assign(pair=corrected["task_a"] + " – " + corrected["task_b"])
    if not named["pair"].isin([line.key["pair"]]).any():
        return  # many pairs are drawn as their mean
    rows = line.of(named).groupby("step")["cosine"].mean()
    ax.plot(
        rows.index,
        rows,
        color=line.color,
        linestyle="none",
        marker=line.marker,
        markersize=8,
        markerfacecolor="white",
        markeredgewidth=1.5,
        label=f"{line.label}, noise-corrected",
        zorder=3,
    )
