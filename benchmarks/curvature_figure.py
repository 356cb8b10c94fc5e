"""The figure of `benchmarks.curvature`."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator


def draw(results: list[dict[str, Any]], file: str) -> None:
    """Draw the top eigenvalue's error against products and against time, a column a problem."""
    figure, axes = plt.subplots(
        2, len(results), figsize=(2.3 * len(results), 5), sharey=True, layout="constrained"
    )
    for column, result in zip(axes.T, results, strict=True):
        for ax, cost in zip(column, ("products", "milliseconds"), strict=True):
            for (name, curve), style in zip(result["curves"].items(), ("o-k", "s:k"), strict=True):
                found = [
                    (np.median(at[cost]), np.median(np.abs(at["error"])) / result["largest"])
                    for at in curve
                ]
                x, y = np.array(found).T
                ax.plot(x, y.clip(1e-7), style, ms=3, label=name)
            eigsh_ = result["top"]["eigsh on curvlinops"]
            error = np.median(np.abs(eigsh_["error"])) / result["largest"]
            point = np.median(eigsh_[cost]), max(error, 1e-7)
            ax.plot(*point, "*k", ms=9, fillstyle="none", label="eigsh on curvlinops")
            ax.axhline(1e-3, color="0.7", zorder=0)
            ax.set(xscale="log", yscale="log", xlabel=cost)
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_formatter("")
        column[0].set_title(result["problem"], fontsize=9)
    for ax in axes[:, 0]:
        ax.set_ylabel("relative error")
    axes[0, 0].legend(fontsize=6)
    figure.savefig(file, dpi=130)
