"""From the runs of factors_of_transfer to verdicts on claims C4 to C6.

C4: sharpness, Fisher trace and gradient covariance do not explain transfer from single- to
multi-task training. C5: nor what optimizers change against the uniform sum. C6: optimizers often
raise the minimum training loss, and few tasks change.

The tasks are those of one network: every number is conditional on them.
"""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from trajlab import analysis
from trajlab.analysis import Factors
from trajlab.analysis.factors.quadrants import quadrant_frame
from trajlab.errors import TrajlabError
from trajlab.store import Runs
from trajlab.study.results import command, finished

FACTORS = ["sharpness", "fisher", "gradient_covariance"]
OPTIMIZERS = ["mgda", "pcgrad", "gradnorm"]
SHARE = (0.35, 0.65)  # "near one half"
LEVEL = 0.05


def at_end(found: Factors) -> pd.DataFrame:
    """Return one row a comparison and factor at the end of training, with its sign if clear."""
    rows = found.delta[found.delta["at"] == "end"]
    clear = (rows["low"] > 0) | (rows["high"] < 0)
    return rows.assign(sign=np.sign(rows["delta"]).where(clear, 0))


def association(rows: pd.DataFrame) -> pd.DataFrame:
    """Return, per factor, how many tasks go with and against it, and the rank correlation."""
    metric = rows[rows["factor"] == "final_metric"].set_index("task")
    lines = []
    for factor in FACTORS:
        own = rows[rows["factor"] == factor].set_index("task")
        product = own["sign"] * metric["sign"]  # a task without one of them is one without a sign
        both = pd.concat([own["delta"], metric["delta"]], axis=1, keys=["x", "y"]).dropna()
        up, down = int((product > 0).sum()), int((product < 0).sum())
        rank = both["x"].corr(both["y"], method="spearman")
        if up and down:
            verdict = "supported"
        elif up + down == len(product) > 0:
            verdict = "not supported"
        else:
            verdict = "undecided"
        lines.append((factor, up, down, len(product), rank, verdict))
    columns = ["factor", "same_sign", "opposite_sign", "tasks", "spearman", "no_consistent_sign"]
    return pd.DataFrame(lines, columns=columns)


def overall(verdicts: list[str]) -> str:
    """Return the one verdict of several: supported only if all are."""
    for verdict in ("not supported", "undecided"):
        if verdict in verdicts:
            return verdict
    return "supported"


def of_share(low: float, high: float) -> str:
    """Return C5's verdict for an interval of the explained share."""
    if SHARE[0] <= low and high <= SHARE[1]:
        return "supported"
    return "not supported" if low > SHARE[1] or high < SHARE[0] else "undecided"


def changes(rows: pd.DataFrame) -> pd.DataFrame:
    """Count, per optimizer, the tasks whose minimum training loss or metric clearly changed."""
    lines = []
    for method, own in rows.groupby("method"):
        by = {factor: part["sign"] for factor, part in own.groupby("factor")}
        loss, metric = by["log10_min_train_loss"], by["final_metric"]
        counts = [(loss > 0).sum(), (loss < 0).sum(), (metric > 0).sum(), (metric < 0).sum()]
        lines.append((method, *map(int, counts), len(metric)))
    columns = ["method", "loss_raised", "loss_lowered", "better", "worse", "tasks"]
    return pd.DataFrame(lines, columns=columns)


def few_change(counts: pd.DataFrame) -> str:
    """Return C6's verdict: the loss is raised in over half of the points, the metric in fewer.

    Half of the losses lowered, or half of the metrics changed, contradict it; too many unclear
    differences of the loss leave it undecided.
    """
    total = counts["tasks"].sum()
    raised, lowered = counts["loss_raised"].sum() / total, counts["loss_lowered"].sum() / total
    changed = (counts["better"] + counts["worse"]).sum() / total
    if lowered >= 0.5 or changed >= 0.5:
        return "not supported"
    return "supported" if raised > 0.5 else "undecided"


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Draw the change in metric over the change in each factor, one point a task and optimizer."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained", sharey=True)
    keys = ["method", "task"]
    metric = rows[rows["factor"] == "final_metric"].set_index(keys)["delta"]
    for ax, factor in zip(axes, FACTORS, strict=True):
        own = rows[rows["factor"] == factor].set_index(keys)["delta"]
        for marker, method in zip("o^s", OPTIMIZERS, strict=True):
            if method in own.index.get_level_values("method"):
                x = own[method]
                ax.plot(x, metric[method].reindex(x.index), marker, ms=5, mfc="none", label=method)
        ax.axhline(0, color="0.7", lw=0.8)
        ax.axvline(0, color="0.7", lw=0.8)
        ax.set_xscale("symlog", linthresh=float(own.abs().median() or 1), linscale=2)
        ax.margins(0.08)
        ax.set_xlabel(f"difference in {factor.replace('_', ' ')} (less is better)")
    axes[0].set_ylabel("difference in accuracy, points")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def evaluate(study: Path, folder: Path, out: Path) -> Mapping[str, pd.DataFrame]:
    """Test claims C4 to C6 on the runs in RUNS: print verdicts, write tables and figures."""
    found = finished(study, ["main"], folder)
    if found.seeds < 2:
        raise TrajlabError(
            f"{found.seeds} of {found.wanted} seeds are finished with every method; an interval "
            "needs two: go on with `trajlab study run`"
        )
    runs = found.runs
    tasks = len({task for run in runs for task in run.tasks})
    confidence = 1 - LEVEL / tasks  # Bonferroni over tasks
    transfer = association(
        at_end(
            analysis.factors(
                runs, against={"method": "uniform"}, metric="accuracy", confidence=confidence
            )
        )
    )
    multi = Runs([run for run in runs if run.metadata["method"] != "single"])
    against = analysis.factors(
        multi, baseline={"method": "uniform"}, metric="accuracy", confidence=confidence
    )
    rows = at_end(against)
    shares = quadrant_frame(against.delta, 1 - LEVEL)
    shares = shares[(shares["at"] == "end") & shares["factor"].isin(FACTORS)]
    shares = shares[["factor", "method", "explained", "total", "share", "low", "high"]]
    pooled = shares[shares["method"] == "all"]
    counts = changes(rows)
    c5 = overall([of_share(row.low, row.high) for row in pooled.itertuples()])
    verdicts = pd.DataFrame(
        [
            ("C4", overall(list(transfer["no_consistent_sign"])), "tasks with clear differences"),
            ("C5", c5, "pooled share of explained points, per factor"),
            ("C6", few_change(counts), "points with a clear difference to uniform"),
        ],
        columns=["claim", "verdict", "from"],
    )
    draw(rows, out / "quadrants.png")
    return {
        "verdicts": found.withhold(verdicts).assign(tasks=tasks),
        "transfer": transfer,
        "shares": shares,
        "changes": counts,
    }


main = command(evaluate, Path(__file__).parent)
if __name__ == "__main__":
    main()
