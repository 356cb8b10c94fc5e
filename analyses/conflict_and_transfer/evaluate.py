"""From the runs of conflict_and_transfer to verdicts on claims C7 to C9.

C7: lower gradient similarity goes with higher sharpness, covariance and Fisher trace. C8: it does
not predict generalization. C9: it is set by the number of tasks.

The unit is the auxiliary set, averaged over seeds first. Correlations are raw, given the number K
of auxiliary tasks, and within each K; with two similarities: the cosine to the update, as the paper
has it, and the noise-corrected cosine to the other tasks.
"""

from pathlib import Path

import click
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from trajlab import analysis
from trajlab.analysis.groups import group
from trajlab.analysis.run_summary import summarise_runs
from trajlab.store import Runs, Trajectory
from trajlab.study.results import finished

FACTORS = ["sharpness", "fisher", "gradient_covariance"]
SIMILARITIES = ["to_update", "corrected"]
LEVEL = 0.05
STRONG = 0.5
TARGETS = 3  # of the study; a verdict needs all of them


def corrected(run: Trajectory) -> float:
    """Return the mean noise-corrected cosine of the first task with the others over training."""
    cosine = run.table("similarity")["cosine"][:, 0, 1:]
    return float(np.nanmean(cosine)) if np.isfinite(cosine).any() else float("nan")


def units(runs: Runs) -> pd.DataFrame:
    """Return one row an auxiliary set: similarity, factors and metric of its target task."""
    rows = summarise_runs(group(runs), "accuracy")
    target = rows["condition"].str.split("+").str[0]
    rows = rows[rows["task"] == target]
    exact = {str(run.path): corrected(run) for run in runs}
    rows = rows.assign(
        K=rows["condition"].str.count(r"\+"),
        to_update=rows["similarity"],
        corrected=rows["run"].map(exact),
    )
    columns = ["K", *SIMILARITIES, *FACTORS, "final_metric"]
    found = rows.groupby(["setting", "task", "condition"], as_index=False)[columns].mean()
    return found.assign(law=1 / np.sqrt(found["K"] + 1))


def correlations(table: Path, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """Correlate over sets: raw, given K, within K."""
    found = []
    for x, y in pairs:
        ways = [{}, {"within": "K"}] if y == "law" else [{}, {"given": "K"}, {"within": "K"}]
        for way in ways[:1] if y == "law" else ways:
            result = analysis.correlate(x=x, y=y, table=str(table), unit="condition", **way)
            rows = result.correlations
            rows = rows[rows["statistic"].str.contains("spearman", case=False)]
            found.append(rows.assign(how=next(iter(way), "raw")))
    columns = ["x", "y", "task", "how", "group", "estimate", "low", "high", "p_adjusted", "n"]
    joined = pd.concat(found)
    return joined[[*columns, "smallest_detectable", "reason"]].reset_index(drop=True)


def signs(rows: pd.DataFrame) -> list[int]:
    """Return the sign of each target's correlation where it is significant, else 0."""
    clear = rows["p_adjusted"] < LEVEL
    return [int(sign) for sign in np.sign(rows["estimate"]).where(clear, 0)]


def worsens(rows: pd.DataFrame) -> str:
    """Return C7's verdict: significant correlations are negative."""
    found = {sign for sign in signs(rows) if sign}
    return {frozenset({-1}): "supported", frozenset({1}): "not supported"}.get(
        frozenset(found), "undecided"
    )


def no_consistent_sign(rows: pd.DataFrame) -> str:
    """Return C8's verdict: opposite targets support it, one sign in all contradicts it."""
    found = signs(rows)
    if {1, -1} <= set(found):
        return "supported"
    return "not supported" if set(found) in ({1}, {-1}) else "undecided"


def strong(rows: pd.DataFrame) -> str:
    """Return C9's verdict: every target's interval above .5, or one below."""
    if (rows["low"] > STRONG).all():
        return "supported"
    return "not supported" if (rows["high"] < STRONG).any() else "undecided"


def draw(points: pd.DataFrame, path: Path) -> None:
    """Draw similarity over K, and accuracy over similarity, one point a set."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
    for marker, (task, own) in zip("o^s", points.groupby("task"), strict=False):
        for ax, y in zip(axes, SIMILARITIES, strict=False):
            ax.plot(own["K"] + 1, own[y], marker, ms=5, mfc="none", label=task)
        centred = own["final_metric"] - own["final_metric"].mean()
        axes[2].plot(own["corrected"], centred, marker, ms=5, mfc="none", label=task)
    count = np.linspace(2, points["K"].max() + 1, 50)
    axes[0].plot(count, 1 / np.sqrt(count), "k--", lw=1, label="orthogonal: 1/√(K+1)")
    axes[0].set(xlabel="tasks, K + 1", ylabel="cosine to the update")
    axes[1].set(xlabel="tasks, K + 1", ylabel="corrected cosine to the other tasks")
    axes[2].set(xlabel="corrected cosine", ylabel="accuracy, points from the target's mean")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=120)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--study", type=click.Path(path_type=Path), help="The study file of the runs.")
@click.option("--out", type=click.Path(path_type=Path), help="Where tables and figures go.")
def main(folder: Path, study: Path | None, out: Path | None) -> None:
    """Read the runs in FOLDER; print verdicts, write tables and figures."""
    here = Path(__file__).parent
    study, out = study or here / "study.toml", out or here / "results"
    out.mkdir(exist_ok=True)
    points = units(finished(study, ["sets", "more seeds"], folder))
    whole = points.groupby("task")["K"].nunique() == points["K"].nunique()
    points = points[points["task"].isin(whole.index[whole])]
    points.to_csv(out / "units.csv", index=False, float_format="%.6g")
    law = correlations(out / "units.csv", [(x, "law") for x in SIMILARITIES])
    factors = correlations(out / "units.csv", [(x, y) for x in SIMILARITIES for y in FACTORS])
    metric = correlations(out / "units.csv", [(x, "final_metric") for x in SIMILARITIES])
    lines = []
    for x in SIMILARITIES:
        raw = factors[(factors["x"] == x) & (factors["how"] == "raw")]
        given = factors[(factors["x"] == x) & (factors["how"] == "given")]
        lines += [("C7", x, "raw", worsens(raw)), ("C7", x, "given K", worsens(given))]
        for how in ("raw", "given"):
            own = metric[(metric["x"] == x) & (metric["how"] == how)]
            lines.append(("C8", x, "given K" if how == "given" else how, no_consistent_sign(own)))
        lines.append(("C9", x, "raw", strong(law[law["x"] == x])))
    verdicts = pd.DataFrame(lines, columns=["claim", "similarity", "how", "verdict"])
    targets = points["task"].nunique()
    verdicts = verdicts.sort_values(["claim", "similarity", "how"]).assign(
        sets=len(points), targets=targets
    )
    if targets < TARGETS:  # what the rules say so far is no verdict on all targets
        verdicts = verdicts.assign(so_far=verdicts["verdict"], verdict="undecided")
    for name, table in {
        "verdicts": verdicts,
        "similarity-and-K": law,
        "similarity-and-factors": factors,
        "similarity-and-accuracy": metric,
    }.items():
        table.to_csv(out / f"{name}.csv", index=False, float_format="%.4g")
        click.echo(f"\n{name}\n{table.to_string(index=False, float_format='%.3g')}")
    draw(points, out / "similarity.png")


if __name__ == "__main__":
    main()
