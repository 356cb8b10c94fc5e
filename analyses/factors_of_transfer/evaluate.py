"""From the runs of factors_of_transfer to verdicts on claims C4 to C6.

C4: sharpness, Fisher trace and gradient covariance do not explain transfer from single- to
multi-task training. C5: nor what optimizers change against the uniform sum. C6: optimizers often
raise the minimum training loss, and few tasks change.

Where the study has it, the comparison is made at one learning rate for all optimizers, too: C5 and
C6 hold only if both comparisons agree. C4 is judged at the end of training, as in the paper; the
same at equal training loss is shown beside it. Tasks are those of a few networks: every number is
conditional on them.
"""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from trajlab import analysis
from trajlab.analysis.factors.quadrants import quadrant_frame
from trajlab.analysis.statistics.power import seeds_needed
from trajlab.errors import TrajlabError
from trajlab.store import Runs
from trajlab.study.file import read
from trajlab.study.results import command, finished

FACTORS = ["sharpness", "fisher", "gradient_covariance"]
MARKERS = {"uniform": "D", "mgda": "o", "pcgrad": "^", "gradnorm": "s"}
LEAST = "log10_min_train_loss"
LATE = 15  # late values whose mean stands for a run; the paper takes 20 of 99 epochs
SHARE = (0.35, 0.65)  # "near one half"
LEVEL = 0.05
# Comparisons, and the stages that they are made of.
OWN_RATES, ONE_RATE = "own rates", "one rate"
COMPARISONS = {OWN_RATES: ("main", "two domains"), ONE_RATE: ("one rate",)}
ALONE = (
    "alone"  # ends the name of a stage of single tasks; without one they are in the stage itself
)
TASK = ["setting", "condition", "task"]
PREFERRED = "average_precision"  # in its place where tasks have few positives: it moves


def deltas(runs: Runs, confidence: float, *, against_single: bool) -> pd.DataFrame:
    """Return the differences of `analysis.factors` in all settings, each by its own metric.

    Parameters
    ----------
    runs
        Of any settings.
    confidence
        Of the intervals.
    against_single
        Whether uniform is compared with single-task training; otherwise optimizers with uniform.
    """
    parts: list[pd.DataFrame] = []
    for name in sorted({run.metadata["setting"] for run in runs}):
        own = [run for run in runs if run.metadata["setting"] == name]
        known = {column for run in own for column in run.frame("evaluations/test").columns}
        metric = PREFERRED if PREFERRED in known else "accuracy"
        uniform = {"method": "uniform"}
        options = {"metric": metric, "confidence": confidence, "last": LATE}
        if against_single:
            found = analysis.factors(own, against=uniform, **options)
        else:
            multi = [run for run in own if run.metadata["method"] != "single"]
            found = analysis.factors(multi, baseline=uniform, **options)
        parts.append(found.delta)
    rows = pd.concat(parts, ignore_index=True)
    for factor in FACTORS:
        read_at_all = rows[(rows["factor"] == factor) & (rows["at"] == "end")]["delta"].notna()
        if not read_at_all.any():
            raise TrajlabError(
                f"{factor} has no value at the end of any pair of runs: record it at least {LATE} "
                "times in the second half of training"
            )
    return rows


def with_run_alone(rows: pd.DataFrame, runs: Runs) -> pd.DataFrame:
    """Return the rows of tasks that are trained alone: others are no comparison."""
    single = [run for run in runs if run.metadata["method"] == "single"]
    alone = {(run.metadata["setting"], task) for run in single for task in run.tasks}
    compared = [pair in alone for pair in zip(rows["setting"], rows["task"], strict=True)]
    return rows[compared]


def signed(rows: pd.DataFrame, *, matched: bool = False) -> pd.DataFrame:
    """Return one row a comparison and factor, with the difference's sign if it is clear.

    At the end of training; with `matched`, factors are those at equal training loss.
    """
    at_end = rows["at"] == "end"
    metric = rows["factor"] == "final_metric"
    rows = rows[(at_end & metric) | (~at_end & ~metric)] if matched else rows[at_end]
    clear = (rows["low"] > 0) | (rows["high"] < 0)
    return rows.assign(sign=np.sign(rows["delta"]).where(clear, 0))


def association(rows: pd.DataFrame) -> pd.DataFrame:
    """Return, per factor, how many tasks go with and against it, and the rank correlation."""
    metric = rows[rows["factor"] == "final_metric"].set_index(TASK)
    lines = []
    for factor in FACTORS:
        own = rows[rows["factor"] == factor].set_index(TASK).reindex(metric.index)
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


def shown(rows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return the differences that verdicts are made of, to be read, and what would make them clear.

    `seeds_to_find_it` find a difference as large as the estimate with power .8 at this confidence.
    """

    def seeds(row: pd.Series) -> float:
        if not np.isfinite(row["z"]) or row["delta"] == 0:
            return np.nan
        spread = abs(row["delta"] / row["z"]) * np.sqrt(row["n_runs"] / 2)  # a side's, of two
        freedom = row["n_runs"] + row["n_baseline"] - 2
        return seeds_needed(spread, freedom, abs(row["delta"]), 1 - confidence)

    kept = rows[rows["factor"].isin([*FACTORS, "final_metric", LEAST])]
    columns = ["method", *TASK, "factor", "at", "delta", "low", "high", "n_runs", "reason"]
    return kept[columns].assign(seeds_to_find_it=kept.apply(seeds, axis=1))


def every(verdicts: list[str]) -> str:
    """Return the one verdict of several factors: supported only if all are."""
    for verdict in ("not supported", "undecided"):
        if verdict in verdicts:
            return verdict
    return "supported"


def agreed(verdicts: list[str]) -> str:
    """Return the one verdict of several comparisons: undecided unless they agree."""
    return verdicts[0] if len(set(verdicts)) == 1 else "undecided"


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
        loss, metric = by[LEAST], by["final_metric"]
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
    """Draw the change in metric over the change in each factor, one point a task and method."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained", sharey=True)
    keys = ["method", *TASK]
    metric = rows[rows["factor"] == "final_metric"].set_index(keys)["delta"]
    for ax, factor in zip(axes, FACTORS, strict=True):
        own = rows[rows["factor"] == factor].set_index(keys)["delta"]
        for method, marker in MARKERS.items():
            if method in own.index.get_level_values("method"):
                x = own[method]
                ax.plot(x, metric[method].reindex(x.index), marker, ms=5, mfc="none", label=method)
        ax.axhline(0, color="0.7", lw=0.8)
        ax.axvline(0, color="0.7", lw=0.8)
        ax.set_xscale("symlog", linthresh=float(own.abs().median() or 1), linscale=2)
        ax.margins(0.08)
        ax.set_xlabel(f"difference in {factor.replace('_', ' ')} (less is better)")
    axes[0].set_ylabel("difference in metric, points")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def compare(runs: Runs, confidence: float) -> dict[str, pd.DataFrame]:
    """Return the tables of one comparison of optimizers, and the differences they are made of."""
    rows = deltas(runs, confidence, against_single=False)
    shares = quadrant_frame(rows, 1 - LEVEL)
    shares = shares[(shares["at"] == "end") & shares["factor"].isin(FACTORS)]
    columns = ["factor", "method", "explained", "total", "share", "low", "high"]
    at_end = signed(rows)
    return {
        "shares": shares[columns],
        "changes": changes(at_end),
        "points": shown(at_end, confidence),
    }


def evaluate(study: Path, folder: Path, out: Path) -> Mapping[str, pd.DataFrame]:
    """Test claims C4 to C6 on the runs in RUNS: print verdicts, write tables and figures."""
    known = [stage.name for stage in read(study).stages]
    stages = {
        name: own
        for name, possible in COMPARISONS.items()
        if (own := [stage for stage in possible if stage in known])
    }
    alone = [stage for stage in known if stage.endswith(ALONE)]
    found = finished(study, [*chain(*stages.values()), *alone], folder)
    if found.seeds < 2:
        raise TrajlabError(
            f"{found.seeds} of {found.wanted} seeds are finished with every method; an interval "
            "needs two: go on with `trajlab study run`"
        )
    # single tasks of stages of their own are at uniform's rate, and belong beside it
    both = finished(study, [*stages.get(ONE_RATE, stages[OWN_RATES]), *alone], folder).runs
    multi = [run for run in both if run.metadata["method"] != "single"]
    tasks = {(*(run.metadata[key] for key in TASK[:2]), t) for run in multi for t in run.tasks}
    confidence = 1 - LEVEL / len(tasks)  # Bonferroni over tasks
    transfer = with_run_alone(deltas(both, confidence, against_single=True), both)
    at = {
        "end": association(signed(transfer)),
        "equal loss": association(signed(transfer, matched=True)),
    }
    c4 = every(list(at["end"]["no_consistent_sign"]))
    decided = [("C4", c4, "tasks with clear differences")]
    tables = {
        "transfer": pd.concat([table.assign(at=place) for place, table in at.items()]),
        "alone": shown(transfer, confidence),
    }
    draw(signed(transfer), out / "transfer.png")
    if {run.metadata["method"] for run in multi} != {"uniform"}:
        runs = {name: finished(study, own, folder).runs for name, own in stages.items()}
        compared = {name: compare(rows, confidence) for name, rows in runs.items()}
        pooled = [own["shares"].query("method == 'all'") for own in compared.values()]
        c5 = [every([of_share(r.low, r.high) for r in rows.itertuples()]) for rows in pooled]
        c6 = [few_change(own["changes"]) for own in compared.values()]
        decided += [
            ("C5", agreed(c5), "pooled share of explained points, per factor"),
            ("C6", agreed(c6), "points with a clear difference to uniform"),
        ]
        for table in ("shares", "changes", "points"):
            parts = [own[table].assign(comparison=name) for name, own in compared.items()]
            tables[table] = pd.concat(parts)
        draw(compared[OWN_RATES]["points"], out / "quadrants.png")
    verdicts = pd.DataFrame(decided, columns=["claim", "verdict", "from"])
    return {"verdicts": found.withhold(verdicts).assign(tasks=len(tasks)), **tables}


main = command(evaluate, Path(__file__).parent)
if __name__ == "__main__":
    main()
