"""From the runs of tuning to verdicts on claims C13 and C17.

C13: hyper-parameters matter more than the method: the best rate of a sparse grid varies from grid
to grid more than its accuracy does from seed to seed. C17: uniform weights, tuned and regularised,
match multi-task optimizers that were tuned as long.

Every value is the mean test accuracy over a run's tasks, at the evaluation that validation chooses.
"""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from trajlab.errors import TrajlabError
from trajlab.store import Runs
from trajlab.study.file import Selection, read
from trajlab.study.fronts import chosen, reached
from trajlab.study.results import Finished, command, finished

GRID = 3  # rates of a sparse grid
BASE = "uniform"
SETTINGS = ("fashion", "yeast")
DELTA = 0.5  # points within which two methods are equivalent
LEVEL = 0.05


def scores(runs: Runs, selection: Selection) -> pd.DataFrame:
    """Return one row a run: how it is told apart, validation and test accuracy; NaN: diverged."""
    rows = [
        {
            **{key: run.metadata[key] for key in ("method", "learning_rate", "seed")},
            "validation": float(chosen(run, selection)[1].mean()),
            "test": float(reached(run, selection).mean()),
        }
        for run in runs
    ]
    return pd.DataFrame(rows, columns=["method", "learning_rate", "seed", "validation", "test"])


def best_of_grids(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a sparse grid and seed: the rate that is best on validation, and its test.

    A grid has every sixth of eighteen rates, so grids have no rate in common. A diverged rate is
    not chosen; a grid all of whose rates diverged has NaN.
    """
    rates = np.sort(rows["learning_rate"].unique())
    grids = len(rates) // GRID
    found = []
    for seed, own in rows.groupby("seed"):
        by_rate = own.set_index("learning_rate")
        for grid in range(grids):
            tried = by_rate.loc[rates[grid::grids]]
            known = tried["validation"].notna().any()
            best = tried["validation"].idxmax() if known else np.nan
            test = tried["test"].get(best, np.nan)
            found.append({"grid": grid, "seed": seed, "learning_rate": best, "test": test})
    return pd.DataFrame(found, columns=["grid", "seed", "learning_rate", "test"])


def spread(best: pd.DataFrame) -> dict[str, float]:
    """Compare the standard deviation over grids with that over seeds.

    By the analysis of variance of one random factor, whose interval for the ratio of the two
    components is exact (S. R. Searle et al., Variance Components, 1992, section 3.6).
    """
    table = best.pivot_table(index="grid", columns="seed", values="test", dropna=False)
    grids, seeds = table.shape
    nothing = {"grid_sd": np.nan, "seed_sd": np.nan, "ratio": np.nan, "low": np.nan, "high": np.nan}
    if grids < 2 or seeds < 2 or table.isna().to_numpy().any():
        return nothing
    within = float(table.var(axis=1, ddof=1).mean())
    between = seeds * float(table.mean(axis=1).var(ddof=1))
    if within == 0:
        return nothing
    freedom = grids - 1, grids * (seeds - 1)
    ends = [between / within / stats.f.ppf(q, *freedom) for q in (1 - LEVEL / 2, LEVEL / 2)]
    ratio, low, high = (
        float(np.sqrt(max(0.0, (f - 1) / seeds))) for f in (between / within, *ends)
    )
    seed_sd = float(np.sqrt(within))
    return {
        "grid_sd": ratio * seed_sd,
        "seed_sd": seed_sd,
        "ratio": ratio,
        "low": low,
        "high": high,
    }


def matters_more(low: float, high: float) -> str:
    """Return C13's verdict: the ratio's interval lies above 1, or below."""
    if low > 1:
        return "supported"
    return "not supported" if high < 1 else "undecided"


def comparisons(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a method: how far uniform weights are above it, paired by seed.

    `equivalent` is two one-sided tests at 5 %, `differs` whether the interval, adjusted over
    methods by Bonferroni, lies outside ±δ. A method with a seed less than the baseline, or a
    diverged run, has no difference.
    """
    table = rows.pivot_table(index="seed", columns="method", values="test", dropna=False)
    others = [name for name in table if name != BASE]
    found = []
    for name in others if BASE in table else []:
        apart = (table[BASE] - table[name]).to_numpy(float)
        count = len(apart)
        mean, error = float(apart.mean()), float(apart.std(ddof=1) / np.sqrt(count))
        low, high = (mean + sign * error * stats.t.ppf(1 - LEVEL, count - 1) for sign in (-1, 1))
        wide = error * stats.t.ppf(1 - LEVEL / 2 / len(others), count - 1)
        found.append(
            {
                "method": name,
                "n": count,
                "difference": mean,
                "low": low,
                "high": high,
                "equivalent": low > -DELTA and high < DELTA,
                "differs": mean - wide > DELTA or mean + wide < -DELTA,
            }
        )
    columns = ["method", "n", "difference", "low", "high", "equivalent", "differs"]
    return pd.DataFrame(found, columns=columns)


def match(compared: pd.DataFrame, wanted: int) -> str:
    """Return C17's verdict: equivalent to every optimizer, or surely apart from one by more than δ.

    A comparison that is wanted and missing leaves it undecided.
    """
    if compared["differs"].any():
        return "not supported"
    whole = len(compared) == wanted and compared["difference"].notna().all()
    return "supported" if whole and compared["equivalent"].all() else "undecided"


def draw(rates: pd.DataFrame, best: pd.DataFrame, tables: pd.DataFrame, path: Path) -> None:
    """Draw error over learning rate, the best of each sparse grid, and the comparisons."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    for seed, own in rates.sort_values("learning_rate").groupby("seed"):
        axes[0].plot(own["learning_rate"], 100 - own["test"], "o-", ms=3, label=f"seed {seed}")
    axes[0].set(xscale="log", xlabel="learning rate", ylabel="test error, mean of the tasks, %")
    axes[0].legend()
    axes[1].plot(best["grid"], 100 - best["test"], "o", mfc="none")
    axes[1].set(xlabel="sparse grid of three rates", ylabel="its best on validation: test error, %")
    names = tables["setting"] + " " + tables["method"]
    place = np.arange(len(tables))
    error = [tables["difference"] - tables["low"], tables["high"] - tables["difference"]]
    axes[2].errorbar(tables["difference"], place, xerr=np.array(error), fmt="o", ms=4)
    axes[2].set_yticks(place, names)
    for edge in (-DELTA, DELTA):
        axes[2].axvline(edge, color="k", ls="--", lw=1)
    axes[2].set_xlabel("uniform above it, points of accuracy (90 %)")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _row(claim: str, found: Finished, verdict: str, **effect: object) -> pd.DataFrame:
    row = pd.DataFrame([{"claim": claim, "verdict": verdict, **effect}])
    return found.withhold(row)


def evaluate(study: Path, folder: Path, out: Path) -> Mapping[str, pd.DataFrame]:
    """Test claims C13 and C17 on the runs in RUNS: print verdicts, write tables and figures."""
    made = read(study)
    selection = made.selection
    names = [stage.name for stage in made.stages]
    dense = finished(study, ["rates"], folder)
    rates = scores(dense.runs, selection)
    best = best_of_grids(rates)
    ratio = spread(best)
    verdicts = [_row("C13", dense, matters_more(ratio["low"], ratio["high"]), **ratio)]
    compared = []
    for setting in SETTINGS:
        if f"{setting} chosen" not in names:
            continue
        found = finished(study, [f"{setting} chosen"], folder)
        stage = made.stages[names.index(f"{setting} chosen")]
        table = comparisons(scores(found.runs, selection)).assign(setting=setting)
        farthest = table["difference"].abs().max() if len(table) else np.nan
        verdict = match(table, len(stage.again) - 1)
        verdicts.append(_row(f"C17 {setting}", found, verdict, farthest=farthest))
        compared.append(table)
    if all(row["n"].item() == 0 for row in verdicts):
        raise TrajlabError("no seed is finished in any stage; train one with `trajlab study run`")
    tables = pd.concat(compared) if compared else comparisons(rates.iloc[:0]).assign(setting="")
    draw(rates, best, tables, out / "tuning.png")
    return {
        "verdicts": pd.concat(verdicts, ignore_index=True),
        "rates": rates,
        "sparse-grids": best,
        "methods": tables,
    }


main = command(evaluate, Path(__file__).parent)
if __name__ == "__main__":
    main()
