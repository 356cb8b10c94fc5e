"""From the runs of fronts to verdicts on claims C10, C12, C14 and C15.

C10: multi-task optimizers lie on or inside the front of tuned weights. C12: the weights that they
give the tasks barely move. C14: which of two methods is better flips with the weights of a utility
and with the learning rate. C15: validation scores under early stopping are optimistic.

Each task's accuracy is an objective, at the evaluation where their mean is best on validation.
"""

import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from scipy import stats

from trajlab import analysis, plots
from trajlab.analysis.interface.result import Result
from trajlab.errors import TrajlabError
from trajlab.store import Runs, Trajectory
from trajlab.study.file import Selection, read
from trajlab.study.fronts import chosen, reached
from trajlab.study.results import command, finished

BASE = "scalarization"
ADAPTIVE = ("gradnorm", "imtl", "mgda", "pcgrad")  # random weights are drawn, and move by design
BEYOND = 0.5  # points that a front may lie beyond another's and still count as on it
STILL = 0.1  # standard deviation of a log weight that barely moves
FLOOR = 0.01  # a smaller share of the weights counts as this one, so that log w is finite
SMALL, DRAWS = 500, 200  # items of a small validation set, and how many are drawn
NEGLIGIBLE = 0.1  # points of optimism
LEVEL = 0.05
MARGIN, WINDOW = 5, 20  # of a figure: points beside the runs, and steps of which one value is drawn
NOT = "undecided"


def label(run: Trajectory) -> str:
    """Return the method's name as the study has it."""
    name = {"static": BASE}.get(run.metadata["method"], run.metadata["method"])
    return f"{name} {run.metadata.get('distribution', '')}".strip()


def configuration(run: Trajectory) -> str:
    """Return what a method's runs are told apart by, apart from the seed."""
    names = ("weights", "alpha", "learning_rate", "weight_decay")
    return json.dumps({name: run.metadata.get(name) for name in names})


def points(found: Runs, selection: Selection, *, fresh: bool) -> pd.DataFrame:
    """Return a row a run and split, with a column a task; NaN where it diverged.

    In training it is the last evaluation, for what a method can fit.
    """
    rows = []
    for run in found:
        head = {"method": label(run), "configuration": configuration(run), "fresh": str(fresh)}
        for split in (selection.split, "test"):
            values = dict(zip(run.tasks, reached(run, selection, split), strict=True))
            rows.append({**head, "seed": run.metadata["seed"], "split": split, **values})
        fitted = np.asarray(run.table("evaluations/train")[selection.metric][-1], float)
        kept = np.where(np.isfinite(chosen(run, selection)[1]), fitted, np.nan)
        values = dict(zip(run.tasks, kept, strict=True))
        rows.append({**head, "seed": run.metadata["seed"], "split": "train", **values})
    return pd.DataFrame(rows)


def beyond(distances: pd.DataFrame, wanted: int) -> str:
    """Return C10's verdict: every method surely less than δ beyond the front, or one surely beyond.

    A method without a distance leaves it undecided.
    """
    if (distances["low"] > 0).any():
        return "not supported"
    whole = len(distances) == wanted and distances["high"].notna().all()
    return "supported" if whole and (distances["high"] < BEYOND).all() else NOT


def movement(run: Trajectory) -> float:
    """Return the standard deviation over steps of the log of a task's share of the weights.

    The largest of the tasks'. Shares below `FLOOR` count as it, so a weight of 0 moves finitely.
    """
    weights = np.asarray(run.table("losses")["weight"], float)
    total = weights.sum(1, keepdims=True)
    if not np.isfinite(weights).all() or (total <= 0).any():
        return float("nan")
    return float(np.log(np.maximum(weights / total, FLOOR)).std(0, ddof=1).max())


def movements(found: Runs) -> pd.DataFrame:
    """Return one row a method: its movement, the mean over seeds of configurations' means."""
    rows = pd.DataFrame(
        [(label(run), run.metadata["seed"], movement(run)) for run in found],
        columns=["method", "seed", "sd"],
    )
    made = []
    for method, own in rows[rows["method"] != BASE].groupby("method"):
        made.append({"method": method, **interval(own.groupby("seed")["sd"].mean(), LEVEL)})
    return pd.DataFrame(made, columns=["method", "mean", "low", "high", "n"])


def interval(values: pd.Series, level: float) -> dict[str, float]:
    """Return mean and t interval over seeds; NaN where a seed has none, or there is one."""
    numbers = values.to_numpy(float)
    count, mean = len(numbers), float(numbers.mean()) if len(numbers) else np.nan
    error = float(numbers.std(ddof=1)) / np.sqrt(count) if count > 1 else np.nan
    wide = error * stats.t.ppf(1 - level / 2, max(count - 1, 1))
    return {"mean": mean, "low": mean - wide, "high": mean + wide, "n": count}


def still(moved: pd.DataFrame) -> str:
    """Return C12's verdict: the intervals of all adaptive methods below .1, or one above.

    A method that is missing leaves it undecided.
    """
    own = moved[moved["method"].isin(ADAPTIVE)]
    if (own["low"] > STILL).any():
        return "not supported"
    whole = set(own["method"]) == set(ADAPTIVE) and own["high"].notna().all()
    return "supported" if whole and (own["high"] < STILL).all() else NOT


def rate_flips(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a pair of methods and rate: the difference in mean test accuracy by seed.

    Intervals are adjusted over rates by Bonferroni; a rate at which a run diverged has none.
    """
    made = []
    rates = sorted(rows["learning_rate"].unique()) if len(rows) else []
    for one, other in combinations(sorted(rows["method"].unique()) if len(rows) else [], 2):
        for rate in rates:
            own = rows[rows["learning_rate"] == rate].pivot_table(
                index="seed", columns="method", values="test", dropna=False
            )
            apart = own.reindex(columns=[one, other])
            found = interval(apart[one] - apart[other], LEVEL / len(rates))
            made.append({"method": one, "baseline": other, "learning_rate": rate, **found})
    columns = ["method", "baseline", "learning_rate", "mean", "low", "high", "n"]
    return pd.DataFrame(made, columns=columns)


def flips(utility: pd.DataFrame, by_rate: pd.DataFrame) -> str:
    """Return C14's verdict: an order that surely reverses; or every order surely one-sided."""
    tables = [table for table in (utility, by_rate) if len(table)]
    pairs = [own for table in tables for _, own in table.groupby(["method", "baseline"])]
    signs = [
        {*np.sign(own["low"][own["low"] > 0])} | {*np.sign(own["high"][own["high"] < 0])}
        for own in pairs
    ]
    if any(found == {1.0, -1.0} for found in signs):
        return "supported"
    sure = [((own["low"] > 0) | (own["high"] < 0)).all() for own in pairs]
    return "not supported" if len(tables) == 2 and all(sure) else NOT


def small_optimism(flags: np.ndarray, seed: int) -> float:
    """Return how much more a small validation set lies above the rest at its best than at the end.

    Of flags (evaluation, task, item), `SMALL` items are drawn to choose the evaluation by their
    mean over tasks; the others are the test set. The mean over `DRAWS` draws, in points.
    """
    rng = np.random.default_rng(seed)
    right = flags.mean(1)  # (evaluation, item)
    found = []
    for _ in range(DRAWS):
        order = rng.permutation(right.shape[1])
        lead = right[:, order[:SMALL]].mean(1) - right[:, order[SMALL:]].mean(1)
        found.append(lead[right[:, order[:SMALL]].mean(1).argmax()] - lead[-1])
    return 100 * float(np.mean(found))


def optimism(found: Runs, selection: Selection) -> pd.DataFrame:
    """Return one row a size of the validation set: optimism over seeds, in points."""
    rows = []
    for run in found:
        row, scores = chosen(run, selection)
        if not np.isfinite(scores).all() or "correct" not in run.table("evaluations/test"):
            continue
        lead = [
            np.asarray(run.table(f"evaluations/{split}")[selection.metric], float).mean(1)
            for split in (selection.split, "test")
        ]
        own = lead[0] - lead[1]
        small = small_optimism(np.asarray(run.correct("test").filled(False)), 0)
        rows.append({"seed": run.metadata["seed"], "small": small, "whole": own[row] - own[-1]})
    by_seed = pd.DataFrame(rows, columns=["seed", "small", "whole"]).groupby("seed").mean()
    return pd.DataFrame(
        [{"validation": size, **interval(by_seed[size], LEVEL)} for size in ("small", "whole")]
    )


def optimistic(small: pd.Series) -> str:
    """Return C15's verdict: the small set's interval above 0, or wholly below .1 points."""
    if small["low"] > 0:
        return "supported"
    return "not supported" if small["high"] < NEGLIGIBLE else NOT


def ranks(utility: pd.DataFrame) -> pd.DataFrame:
    """Return the rank of every method by utility: a row a weight of the first task."""
    other = utility["baseline"].str.removeprefix("method=")
    turned = utility.assign(method=other, difference=-utility["difference"])
    both = pd.concat([utility[other == BASE], turned[utility["method"] == BASE]])
    weight = both["weights"].str.extract(r"=([0-9.]+)")[0].astype(float)
    table = both.assign(weight=weight).pivot_table(
        index="weight", columns="method", values="difference", dropna=False
    )
    return table.assign(**{BASE: 0.0}).rank(axis=1, ascending=False)


def leading(found: Runs, selection: Selection) -> Runs:
    """Return, of each adaptive method, the runs of the configuration best on validation."""
    by_method: dict[str, dict[str, list[Trajectory]]] = {}
    for run in found:
        if label(run) in ADAPTIVE:
            by_method.setdefault(label(run), {}).setdefault(configuration(run), []).append(run)

    def score(runs: list[Trajectory]) -> float:
        return float(np.mean([reached(run, selection, selection.split).mean() for run in runs]))

    return Runs([run for own in by_method.values() for run in max(own.values(), key=score)])


def draw(found: Result, lead: Runs, moved: pd.DataFrame, by_rate: pd.DataFrame, out: Path) -> None:
    """Draw fronts in training and on test, weights and their movement, and who is better where."""
    figure, axes = plt.subplots(2, 3, figsize=(15, 9), layout="constrained")
    plots.training_front(found, axes[0, 0])
    one, other = (found.points[task].min() - MARGIN for task in lead[0].tasks)
    axes[0, 0].set_xlim(left=one)  # trials that collapsed lie beyond
    axes[0, 0].set_ylim(bottom=other)
    plots.front(found, axes[0, 1])
    weights = analysis.weighting(lead, group_by=["method"]).weights
    own = weights[weights["task"] == lead[0].tasks[0]]
    steps = own["step"] // WINDOW * WINDOW
    sns.lineplot(own, x=steps, y="share", hue="method", errorbar=("pi", 80), ax=axes[0, 2])
    axes[0, 2].set(ylabel=f"share of {lead[0].tasks[0]}", title="weights, middle 80 % of steps")
    for (method, rank), marker in zip(ranks(found.flips).items(), "os^DvP*X", strict=False):
        axes[1, 1].plot(rank.index, rank, marker=marker, ms=4, label=method)
    axes[1, 1].legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncol=4)
    axes[1, 1].invert_yaxis()
    axes[1, 1].set(
        xlabel=f"utility: weight of {lead[0].tasks[0]}", ylabel="rank by utility on test"
    )
    place = np.arange(len(moved))
    error = np.array([moved["mean"] - moved["low"], moved["high"] - moved["mean"]])
    axes[1, 0].errorbar(moved["mean"], place, xerr=error, fmt="o", ms=4)
    axes[1, 0].set_yticks(place, moved["method"])
    axes[1, 0].axvline(STILL, color="k", ls="--", lw=1)
    axes[1, 0].set_xlabel("standard deviation of log weight along the run")
    for (one, other), own in by_rate.groupby(["method", "baseline"]):
        axes[1, 2].fill_between(own["learning_rate"], own["low"], own["high"], alpha=0.3)
        axes[1, 2].plot(own["learning_rate"], own["mean"], "o-", ms=3, label=f"{one} above {other}")
        axes[1, 2].legend(fontsize=7)
    if by_rate["mean"].notna().any():  # intervals of three seeds, Bonferroni's, lie far beyond
        axes[1, 2].set_ylim(by_rate["mean"].min() - MARGIN, by_rate["mean"].max() + MARGIN)
    axes[1, 2].axhline(0, color="k", lw=1)
    axes[1, 2].set(xscale="log", xlabel="learning rate", ylabel="points of mean accuracy")
    figure.savefig(out / "fronts.png", dpi=120)
    plt.close(figure)


def evaluate(study: Path, folder: Path, out: Path) -> Mapping[str, pd.DataFrame]:
    """Test claims C10, C12, C14 and C15 on the runs in RUNS: verdicts, tables and a figure."""
    made = read(study)
    selection = made.selection
    again = next(stage for stage in made.stages if stage.name == "fresh")
    others = [stage.name for stage in again.again if stage.name != BASE]
    tried = finished(study, [stage.name for stage in again.again], folder, failures=True)
    fresh, rates = finished(study, ["fresh"], folder), finished(study, ["rates"], folder)
    if not fresh.seeds:
        raise TrajlabError("no seed is finished on every front; train one with `trajlab study run`")
    frames = [points(tried.runs, selection, fresh=False), points(fresh.runs, selection, fresh=True)]
    found = analysis.front(
        table=pd.concat(frames, ignore_index=True),
        objective=dict.fromkeys(fresh.runs[0].tasks, "max"),
        fresh={"fresh": "True"},
        group_by=["configuration"],
        confidence=1 - LEVEL / len(others),  # over the methods that share the baseline
    )
    distances = found.distance.assign(beyond=found.distance["low"] > 0)
    moved, seen = movements(fresh.runs), optimism(fresh.runs, selection)
    rows = [
        {
            "method": label(run),
            **{key: run.metadata[key] for key in ("learning_rate", "seed")},
            "test": float(reached(run, selection).mean()),
        }
        for run in rates.runs
    ]
    by_rate = rate_flips(pd.DataFrame(rows, columns=["method", "learning_rate", "seed", "test"]))
    utility = found.flips.dropna(subset=["low"])
    both = rates if rates.seeds * fresh.wanted < fresh.seeds * rates.wanted else fresh
    told = [
        (fresh, "C10", beyond(distances, len(others)), distances["signed_distance"].max()),
        (fresh, "C12", still(moved), moved["mean"][moved["method"].isin(ADAPTIVE)].max()),
        (both, "C14", flips(utility, by_rate), float(found.flips["flips"].sum())),
        (fresh, "C15", optimistic(seen.iloc[0]), seen["mean"][0]),
    ]
    verdicts = [
        held.withhold(pd.DataFrame([{"claim": claim, "verdict": verdict, "effect": effect}]))
        for held, claim, verdict, effect in told
    ]
    draw(found, leading(fresh.runs, selection), moved, by_rate, out)
    return {
        "verdicts": pd.concat(verdicts, ignore_index=True),
        "points": found.points,
        "distance": distances,
        "hypervolume": found.hypervolume,
        "weights": moved,
        "flips": found.flips,
        "rates": by_rate,
        "optimism": seen,
    }


main = command(evaluate, Path(__file__).parent)
if __name__ == "__main__":
    main()
