"""From the runs of low_resource to verdicts on claim C11.

C11: where one task has little data, weights trade the tasks off in training, but on test one choice
of weights is best for all tasks. Each choice of weights is trained at its best learning rate on
fresh seeds. Its shortfall is by how much it is worse than the best choice of a task, in the task
where that is most; a front without a trade-off has a choice without a shortfall.

Losses are in nats: on test at the evaluation that is best on validation, in training at the end.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from trajlab.analysis.front.pareto import non_dominated, resampled_means
from trajlab.errors import TrajlabError
from trajlab.store import Runs
from trajlab.study.file import Selection, read
from trajlab.study.fronts import chosen, reached
from trajlab.study.results import command, finished

SETTINGS = ("mnists", "translation")
DELTA = 0.02  # share of a task's best loss by which another one is as good
LEVEL = 0.05
_TOLD = ("shortfall", "low", "high")
SPLITS = ("validation", "test", "train")


def losses(found: Runs, selection: Selection) -> pd.DataFrame:
    """Return one row a run, task and split: the loss, NaN where the run diverged."""
    rows = []
    for run in found:
        own = {"weights": json.dumps(run.metadata.get("weights")), "seed": run.metadata["seed"]}
        own |= {"method": run.metadata["method"]}
        scores = {split: reached(run, selection, split) for split in SPLITS[:2]}
        last = np.asarray(run.table("evaluations/train")["loss"][-1], float)
        known = np.isfinite(chosen(run, selection)[1]).all()
        scores["train"] = np.where(known, last, np.nan)
        for split, values in scores.items():
            for task, loss in zip(run.tasks, values, strict=True):
                rows.append({**own, "split": split, "task": task, "loss": float(loss)})
    return pd.DataFrame(rows, columns=["weights", "seed", "method", "split", "task", "loss"])


def shortfalls(means: np.ndarray, best: np.ndarray, compromise: int) -> np.ndarray:
    """Return by how much one choice is worse than the best of each task, where that is most.

    Parameters
    ----------
    means
        (…, choice, task) losses.
    best
        (task,) which choice is the best of each task.
    compromise
        The choice for all tasks.
    """
    tops = np.stack([means[..., choice, task] for task, choice in enumerate(best)], -1)
    return np.asarray((means[..., compromise, :] / tops - 1).max(-1))


def trade_off(rows: pd.DataFrame, choose_on: str, split: str) -> dict[str, object]:
    """Return the shortfall of the choice that is best for all tasks, with its interval over seeds.

    Which choices are best, of each task and for all, is read from `choose_on`; the interval
    resamples seeds within choices. A choice one of whose runs diverged is left out.
    """
    tables = {
        name: part.pivot_table(
            index=["weights", "seed"], columns="task", values="loss", dropna=False
        )
        for name, part in rows[rows["split"].isin([choose_on, split])].groupby("split")
    }
    nothing = {"shortfall": np.nan, "low": np.nan, "high": np.nan, "compromise": "", "choices": 0}
    if not {choose_on, split} <= set(tables):
        return nothing
    by_weights = {
        name: {w: own.to_numpy(float) for w, own in table.groupby("weights")}
        for name, table in tables.items()
    }
    names = [
        w for w in by_weights[split] if all(np.isfinite(by[w]).all() for by in by_weights.values())
    ]
    if len(names) < 2 or min(len(by_weights[split][w]) for w in names) < 2:
        return nothing
    first = np.stack([by_weights[choose_on][w].mean(0) for w in names])
    best = first.argmin(0)
    worst = [float(shortfalls(first, best, number)) for number in range(len(names))]
    compromise = int(np.argmin(worst))
    runs = [by_weights[split][w] for w in names]
    means = np.stack([own.mean(0) for own in runs])
    drawn = shortfalls(resampled_means(runs), best, compromise)
    low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2])
    return {
        "shortfall": float(shortfalls(means, best, compromise)),
        "low": float(low),
        "high": float(high),
        "compromise": names[compromise],
        "choices": int(non_dominated(-means).sum()),
    }


def one_best(test: Mapping[str, object], training: Mapping[str, object]) -> str:
    """Return C11's verdict: a trade-off in training, and none on test.

    Supported: the shortfall is surely above δ in training and surely below it on test. Not
    supported: it is surely below it in training, or surely above it on test.
    """
    if float(str(test["low"])) > DELTA or float(str(training["high"])) < DELTA:
        return "not supported"
    none = float(str(test["high"])) < DELTA
    return "supported" if none and float(str(training["low"])) > DELTA else "undecided"


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Draw the choices of weights in training and on test, with the methods beside."""
    panels = [(name, split) for name in rows["setting"].unique() for split in ("train", "test")]
    size = 3.7 * len(panels), 3.6
    figure, axes = plt.subplots(1, len(panels), figsize=size, layout="constrained")
    for ax, (setting, split) in zip(axes, panels, strict=True):
        own = rows[(rows["setting"] == setting) & (rows["split"] == split)]
        ax.set_title(f"{setting}, {split}", fontsize=9)
        table = own.pivot_table(index=["method", "weights"], columns="task", values="loss")
        tasks = list(dict.fromkeys(own["task"]))
        for (method, part), marker in zip(table.groupby(level="method"), "os^DvP", strict=False):
            ax.plot(part[tasks[0]], part[tasks[1]], marker, mfc="none", label=method)
        ax.set(xlabel=f"loss of {tasks[0]}", ylabel=f"loss of {tasks[1]}")
    axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def evaluate(study: Path, folder: Path, out: Path) -> Mapping[str, pd.DataFrame]:
    """Test claim C11 on the runs in RUNS: print verdicts, write tables and a figure."""
    made = read(study)
    known = [stage.name for stage in made.stages]
    verdicts, kept, tables = [], [], []
    for setting in SETTINGS:
        if f"{setting} weights" not in known:
            continue
        found = finished(study, [f"{setting} weights"], folder)
        rows = losses(found.runs, made.selection)
        sides = {
            "test": trade_off(rows, "validation", "test"),
            "training": trade_off(rows, "train", "train"),
        }
        told = {
            "claim": f"C11 {setting}",
            "verdict": one_best(sides["test"], sides["training"]),
            **{f"{side}_{key}": own[key] for side, own in sides.items() for key in _TOLD},
        }
        verdicts.append(found.withhold(pd.DataFrame([told])))
        tables += [{"setting": setting, "on": side, **values} for side, values in sides.items()]
        kept.append(rows.assign(setting=setting))
        if f"{setting} methods" in known:
            beside = finished(study, [f"{setting} methods"], folder)
            kept.append(losses(beside.runs, made.selection).assign(setting=setting))
    if not any(map(len, kept)):
        raise TrajlabError(
            "no seed is finished with all weights; train one with `trajlab study run`"
        )
    rows = pd.concat(kept, ignore_index=True)
    draw(rows, out / "low-resource.png")
    return {
        "verdicts": pd.concat(verdicts, ignore_index=True),
        "trade-offs": pd.DataFrame(tables),
        "means": rows.groupby(["setting", "method", "weights", "split", "task"], sort=False)["loss"]
        .agg(["mean", "std", "count"])
        .reset_index(),
        "losses": rows,
    }


main = command(evaluate, Path(__file__).parent)
if __name__ == "__main__":
    main()
