"""From the runs of input_overlap to a verdict on claim C19.

C19: gradient similarity predicts transfer only when tasks share inputs. The unit is the pair,
averaged over seeds: the noise-corrected cosine of its tasks' gradients over training, and how much
lower its first task's test loss is than alone, with the same examples.
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
from trajlab.study.fronts import reached
from trajlab.study.results import command, finished

LEVEL = 0.05
RESAMPLES = 4_999
WEAK = 0.3  # a correlation that predicts little
FEWEST = 8  # pairs without which nothing is correlated
NOTHING = {"estimate": np.nan, "low": np.nan, "high": np.nan}


def units(found: Runs, selection: Selection) -> pd.DataFrame:
    """Return one row a pair and overlap: similarity and transfer; NaN where there is none."""
    rows, alone = [], {}
    for run in found:
        task = run.metadata["condition"].split("+")[0]
        loss = float(reached(run, selection)[0])
        if len(run.tasks) == 1:
            alone[task, run.metadata["seed"]] = loss
            continue
        cosine = run.table("similarity")["cosine"][:, 0, 1]
        mean = float(np.nanmean(cosine)) if np.isfinite(cosine).any() else np.nan
        own = {key: run.metadata[key] for key in ("condition", "overlap", "seed")}
        rows.append({**own, "task": task, "similarity": mean, "loss": loss})
    columns = ["condition", "overlap", "seed", "task", "similarity", "loss"]
    table = pd.DataFrame(rows, columns=columns)
    single = [alone.get(key, np.nan) for key in zip(table["task"], table["seed"], strict=True)]
    table = table.assign(transfer=np.array(single, float) - table["loss"])
    keys = ["condition", "overlap"]
    return table.groupby(keys, as_index=False)[["similarity", "transfer"]].mean()


def rank_correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation along the last axis but one, NaN where one does not vary."""
    ranks = [stats.rankdata(own, axis=-2) for own in (x, y)]
    centred = [own - own.mean(-2, keepdims=True) for own in ranks]
    products = (centred[0] * centred[1]).sum(-2)
    norms = [np.sqrt((own**2).sum(-2)) for own in centred]
    with np.errstate(invalid="ignore"):
        return np.asarray(products / (norms[0] * norms[1]))


def correlations(points: pd.DataFrame) -> pd.DataFrame:
    """Return one row an overlap, and one for the rise from the smallest to the largest.

    Intervals are percentiles of a bootstrap of pairs, the same ones at every overlap. Pairs without
    a similarity or a transfer at some overlap are left out and counted.
    """
    columns = ["overlap", "estimate", "low", "high", "n", "left_out"]
    wide = points.pivot_table(index="condition", columns="overlap", dropna=False, sort=True)
    whole = wide.dropna()
    overlaps = sorted(points["overlap"].unique())
    counts = {"n": len(whole), "left_out": len(wide) - len(whole)}
    if len(whole) < FEWEST or len(overlaps) < 2:
        names = [*map(str, overlaps), "rise"]
        return pd.DataFrame([{"overlap": o, **NOTHING, **counts} for o in names], columns=columns)
    x, y = (whole[name][overlaps].to_numpy(float) for name in ("similarity", "transfer"))

    rng = np.random.default_rng(0)
    rows = np.vstack([np.arange(len(x)), rng.integers(len(x), size=(RESAMPLES, len(x)))])
    found = rank_correlation(x[rows], y[rows])
    found = np.column_stack([found, found[:, -1] - found[:, 0]])
    estimate = found[0]
    low, high = np.nanquantile(found[1:], [LEVEL / 2, 1 - LEVEL / 2], axis=0)
    names = [*map(str, overlaps), "rise"]
    made = pd.DataFrame({"overlap": names, "estimate": estimate, "low": low, "high": high})
    return made.assign(**counts)[columns]


def predicts(rows: pd.DataFrame) -> str:
    """Return C19's verdict.

    Supported: the correlation is positive where all inputs are shared, and rises from where none
    is. Not supported: it falls, or is below .3 even where all inputs are shared.
    """
    at = rows.set_index("overlap")
    full, rise = at.iloc[-2], at.loc["rise"]
    if full["low"] > 0 and rise["low"] > 0:
        return "supported"
    return "not supported" if rise["high"] < 0 or full["high"] < WEAK else "undecided"


def draw(points: pd.DataFrame, rows: pd.DataFrame, path: Path) -> None:
    """Draw transfer over similarity at the ends, and the correlation over overlap."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    ends = sorted(points["overlap"].unique())
    for ax, overlap in zip(axes, (ends[0], ends[-1]), strict=False):
        own = points[points["overlap"] == overlap]
        ax.plot(own["similarity"], own["transfer"], "o", ms=4, mfc="none")
        ax.set(xlabel="corrected cosine", ylabel="loss alone less loss beside")
        ax.set_title(f"{overlap:.0%} of the inputs shared")
    own = rows[rows["overlap"] != "rise"]
    error = np.array([own["estimate"] - own["low"], own["high"] - own["estimate"]])
    axes[2].errorbar(own["overlap"].astype(float), own["estimate"], yerr=error, fmt="o-", ms=4)
    axes[2].axhline(0, color="k", lw=1)
    axes[2].set(xlabel="share of inputs in common", ylabel="Spearman's correlation")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def evaluate(study: Path, folder: Path, out: Path) -> Mapping[str, pd.DataFrame]:
    """Test claim C19 on the runs in RUNS: print the verdict, write tables and a figure."""
    found = finished(study, ["pairs", "alone"], folder)
    if not found.seeds:
        raise TrajlabError(
            "no seed is finished with every pair; train one with `trajlab study run`"
        )
    points = units(found.runs, read(study).selection)
    rows = correlations(points)
    rise = rows[rows["overlap"] == "rise"].iloc[0]
    verdict = pd.DataFrame(
        [
            {
                "claim": "C19",
                "verdict": predicts(rows),
                "effect": rise["estimate"],
                "low": rise["low"],
                "high": rise["high"],
                "pairs": rise["n"],
            }
        ]
    )
    draw(points, rows, out / "overlap.png")
    # the unit is the pair: one seed of each will do
    return {"verdicts": found.withhold(verdict, fewest=1), "correlations": rows, "pairs": points}


main = command(evaluate, Path(__file__).parent)
if __name__ == "__main__":
    main()
