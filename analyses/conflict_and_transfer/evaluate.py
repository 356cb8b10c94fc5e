"""From the runs of conflict_and_transfer to verdicts on claims C7 to C9.

C7: lower gradient similarity goes with higher sharpness, covariance and Fisher trace. C8: it does
not predict generalization. C9: it is set by the number of tasks.

The unit is the auxiliary set, averaged over seeds first. Correlations are raw, given the number K
of auxiliary tasks, and within each K; with two similarities: the cosine to the update, as the paper
has it, and the noise-corrected cosine to the other tasks. Beyond the claims: how well a set's
metric is predicted from the other sets, by K alone and by K and a similarity.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from trajlab import analysis
from trajlab.analysis.runs.groups import group
from trajlab.analysis.summary import summarise_runs
from trajlab.errors import TrajlabError
from trajlab.store import Runs, Trajectory
from trajlab.study.results import command, finished

FACTORS = ["sharpness", "fisher", "gradient_covariance"]
SIMILARITIES = ["to_update", "corrected"]
RAW: Mapping[str, Mapping[str, str]] = {"raw": {}}
WAYS = {**RAW, "given K": {"given": "K"}, "within K": {"within": "K"}}
LEVEL = 0.05
STRONG = 0.5
WORTH = 0.5  # a correlation that a study should be able to see
PREFERRED = "average_precision"  # where recorded: it moves where positives are few


def corrected(run: Trajectory) -> float:
    """Return the mean noise-corrected cosine of the first task with the others over training."""
    cosine = run.table("similarity")["cosine"][:, 0, 1:]
    return float(np.nanmean(cosine)) if np.isfinite(cosine).any() else float("nan")


def units(runs: Runs) -> pd.DataFrame:
    """Return one row an auxiliary set: similarity, factors and metric of its target task."""
    known = {column for run in runs for column in run.frame("evaluations/test").columns}
    metric = PREFERRED if PREFERRED in known else None
    rows = summarise_runs(group(runs), metric)
    target = rows["condition"].str.split("+").str[0]
    rows = rows[rows["task"] == target]
    exact = {str(run.path): corrected(run) for run in runs}
    rows = rows.assign(
        K=rows["condition"].str.count(r"\+"),
        to_update=rows["similarity"],
        corrected=rows["run"].map(exact),
    )
    columns = ["K", *SIMILARITIES, *FACTORS, "final_metric"]
    found = rows.groupby(["setting", "task", "condition", "metric"], as_index=False)[columns].mean()
    return found.assign(law=1 / np.sqrt(found["K"] + 1))


def correlations(
    points: pd.DataFrame,
    others: Iterable[str],
    ways: Mapping[str, Mapping[str, str]] = WAYS,
) -> pd.DataFrame:
    """Correlate both similarities with other columns over sets, in several ways.

    P-values are adjusted over the targets by Holm's method; a correlation that there is none of,
    as where a target's metric never changes, counts with p = 1.
    """
    found = []
    for x in SIMILARITIES:
        for y in others:
            for how, way in ways.items():
                rows = analysis.correlate(x=x, y=y, table=points, unit="condition", **way)
                ranks = rows.correlations.query("statistic == 'spearman'").assign(how=how)
                found.append(ranks.assign(p_adjusted=adjusted(ranks["p_value"])))
    columns = ["x", "y", "task", "how", "group", "estimate", "low", "high", "p_adjusted", "n"]
    columns.append("power")
    joined = pd.concat(found)
    targets = joined["task"].nunique()
    joined["power"] = [
        power(row.n, targets, row.how == "given K") for row in joined.itertuples(index=False)
    ]
    return joined[[*columns, "smallest_detectable", "reason"]].reset_index(drop=True)


def power(n: int, targets: int, given: int = 0) -> float:
    """Return the chance of finding a correlation of ±.5 in n sets, at the level of all targets.

    By Fisher's z, to be known before a study is trained: 24 sets find it with a probability of .52
    given K, 39 with .80.

    Parameters
    ----------
    n
        Sets of one target.
    targets
        That share the level.
    given
        Variables held fixed.
    """
    if n <= 3 + given:
        return 0.0
    shift = np.arctanh(WORTH) * np.sqrt(n - 3 - given)
    return float(norm.sf(norm.isf(LEVEL / targets / 2) - shift))


def prediction(points: pd.DataFrame) -> pd.DataFrame:
    """Predict each set's metric from the target's other sets, by least squares.

    Returns
    -------
    DataFrame
        One row a target and similarity: `r2_K` and `r2_K_and_similarity`, one minus the squared
        errors by those of the other sets' mean, negative where that predicts better; over the `n`
        sets that have the similarity. K is a category.
    """
    lines = []
    for (task, own), name in product(points.groupby("task"), SIMILARITIES):
        rows = own.dropna(subset=[name, "final_metric"])
        target = rows["final_metric"].to_numpy(float)
        kinds = pd.get_dummies(rows["K"]).to_numpy(float)
        both = np.column_stack([kinds, rows[name].to_numpy(float)])
        lines.append((task, name, left_out(kinds, target), left_out(both, target), len(rows)))
    columns = ["task", "similarity", "r2_K", "r2_K_and_similarity", "n"]
    return pd.DataFrame(lines, columns=columns)


def left_out(predictors: np.ndarray, target: np.ndarray) -> float:
    """Return R² of predictions that each leave their own row out; NaN with too few or no spread."""
    n = len(target)
    if n < predictors.shape[1] + 2 or np.ptp(target) == 0:
        return float("nan")
    keep = ~np.eye(n, dtype=bool)
    errors = [
        target[i] - predictors[i] @ np.linalg.lstsq(predictors[k], target[k], rcond=None)[0]
        for i, k in enumerate(keep)
    ]
    plain = [target[i] - target[k].mean() for i, k in enumerate(keep)]
    return float(1 - np.square(errors).sum() / np.square(plain).sum())


def adjusted(p: pd.Series) -> pd.Series:
    """Return p-values by Holm's method, those that are missing counted as 1 and left missing."""
    return pd.Series(multipletests(p.fillna(1), method="holm")[1], p.index).where(p.notna())


def signs(rows: pd.DataFrame) -> set[int]:
    """Return the signs of the targets' correlations, 0 where one is not significant."""
    clear = rows["p_adjusted"] < LEVEL
    return {int(sign) for sign in np.sign(rows["estimate"]).where(clear, 0)}


def worsens(rows: pd.DataFrame) -> str:
    """Return C7's verdict: significant correlations are negative."""
    found = signs(rows) - {0}
    if found == {-1}:
        return "supported"
    return "not supported" if found == {1} else "undecided"


def no_consistent_sign(rows: pd.DataFrame) -> str:
    """Return C8's verdict: opposite targets support it, one sign in all contradicts it."""
    found = signs(rows)
    if found >= {1, -1}:
        return "supported"
    return "not supported" if found in ({1}, {-1}) else "undecided"


def strong(rows: pd.DataFrame) -> str:
    """Return C9's verdict: every target's interval above .5, or one below."""
    if (rows["low"] > STRONG).all():
        return "supported"
    return "not supported" if (rows["high"] < STRONG).any() else "undecided"


def verdicts(law: pd.DataFrame, factors: pd.DataFrame, metric: pd.DataFrame) -> pd.DataFrame:
    """Return one row a claim, similarity and way; `tested` counts the correlations it is from."""
    rules = [("C7", factors, worsens), ("C8", metric, no_consistent_sign), ("C9", law, strong)]
    lines = []
    for claim, table, rule in rules:
        kept = table[table["how"] != "within K"]  # eight sets a K: to look at, not to judge by
        for (x, how), rows in kept.groupby(["x", "how"], sort=False):
            lines.append((claim, x, how, rule(rows), int(rows["estimate"].notna().sum())))
    return pd.DataFrame(lines, columns=["claim", "similarity", "how", "verdict", "tested"])


def draw(points: pd.DataFrame, path: Path) -> None:
    """Draw similarity over K, and the metric over similarity, one point a set."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
    for marker, (task, own) in zip("o^sDvP", points.groupby("task"), strict=False):
        for ax, y in zip(axes, SIMILARITIES, strict=False):
            ax.plot(own["K"] + 1, own[y], marker, ms=5, mfc="none", label=task)
        centred = own["final_metric"] - own["final_metric"].mean()
        axes[2].plot(own["corrected"], centred, marker, ms=5, mfc="none")
    count = np.linspace(2, points["K"].max() + 1, 50)
    axes[0].plot(count, 1 / np.sqrt(count), "k--", lw=1, label="orthogonal: 1/√(K+1)")
    axes[0].set(xlabel="tasks, K + 1", ylabel="cosine to the update")
    axes[1].set(xlabel="tasks, K + 1", ylabel="corrected cosine to the other tasks")
    metric = points["metric"].iloc[0]
    axes[2].set(xlabel="corrected cosine", ylabel=f"{metric}, from the target's mean")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=7)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def evaluate(study: Path, folder: Path, out: Path) -> Mapping[str, pd.DataFrame]:
    """Test claims C7 to C9 on the runs in RUNS: print verdicts, write tables and figures."""
    found = finished(study, ["sets"], folder)
    if not found.seeds:
        raise TrajlabError("no seed is finished in every set; train one with `trajlab study run`")
    points = units(found.runs)
    law = correlations(points, ["law"], RAW)
    factors, metric = correlations(points, FACTORS), correlations(points, ["final_metric"])
    draw(points, out / "similarity.png")
    # the unit is the set: one seed of each will do
    decided = found.withhold(verdicts(law, factors, metric), fewest=1).assign(sets=len(points))
    return {
        "verdicts": decided,
        "similarity-and-K": law,
        "similarity-and-factors": factors,
        "similarity-and-metric": metric,
        "prediction": prediction(points),
        "units": points,
    }


main = command(evaluate, Path(__file__).parent)
if __name__ == "__main__":
    main()
