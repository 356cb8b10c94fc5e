"""From the runs of capacity to a verdict on claim C16.

C16: compute is better spent on a larger network whose tasks have given weights than on an
optimizer of the tasks' gradients. Fronts are compared where all runs have spent as many
floating-point operations, or seconds of a processor, as the trial that spent the least.

Each task's accuracy is an objective, at the evaluation where their mean is best on validation.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from trajlab.analysis.front.budget import Budget, smallest, within
from trajlab.analysis.front.configurations import Configurations, configurations
from trajlab.analysis.front.pareto import resampled_means, signed_distance
from trajlab.analysis.runs.evaluations import read as evaluations
from trajlab.errors import TrajlabError
from trajlab.store import Runs, Trajectory
from trajlab.study.file import Selection, read
from trajlab.study.results import command, finished

BUDGETS: tuple[Budget, ...] = ("flops", "seconds")
LARGER = ("deep", "wide")  # networks with the depth or the width of two
OPTIMIZERS = ("mgda", "pcgrad", "imtl", "gradnorm")
LEVEL = 0.05
SHOWN = 12  # points of accuracy behind the best of a task that the picture of fronts reaches
COLUMNS = ["network", "optimizer", "budget", "spent", "ahead", "low", "high", "n_points", "left"]
_DEEP, _WIDE = 2, 2.0


def label(run: Trajectory) -> str:
    """Return the name of what is compared: the network's size, or the method."""
    if run.metadata["method"] != "static":
        return str(run.metadata["method"])
    if run.metadata["depth"] == _DEEP:
        return "deep"
    width = run.metadata["width"]
    return "wide" if width == _WIDE else "narrow" if width < 1 else "scalarization"


def points(
    found: Runs, selection: Selection, budget: Budget, most: float, *, fresh: bool
) -> pd.DataFrame:
    """Return two rows a run, validation and test, with a column a task, within the budget."""
    rows = []
    for run in found:
        keys = ("weights", "learning_rate", "weight_decay")
        own = {key: run.metadata.get(key) for key in keys}
        head = {"method": label(run), "configuration": json.dumps(own), "fresh": str(fresh)}
        read_ = [
            within(
                run,
                evaluations(run, task, selection.metric, "test", selection.split),
                budget,
                most,
            )
            for task in run.tasks
        ]
        known = [own for own in read_ if own.step.size and not own.diverged]
        scores = {split: [np.nan] * len(run.tasks) for split in (selection.split, "test")}
        if len(known) == len(run.tasks):
            best = int(np.mean([own.selection for own in known], axis=0).argmax())
            scores[selection.split] = [float(own.selection[best]) for own in known]
            scores["test"] = [float(own.score[best]) for own in known]
        for split, values in scores.items():
            named = dict(zip(run.tasks, values, strict=True))
            rows.append({**head, "seed": run.metadata["seed"], "split": split, **named})
    return pd.DataFrame(rows)


def ahead(larger: Configurations, other: Configurations, level: float) -> dict[str, float]:
    """Return by how much an optimizer's chosen points lie inside a larger network's front.

    The mean over its points of what every task could gain; one way, for a front that reaches to
    further trade-offs than an optimizer's few points is not better for that. The interval resamples
    seeds within configurations. Beside it stands how many chosen configurations were not run again.
    """
    sides = other.front(), larger.front()
    told = {"n_points": len(sides[0]), "left": other.left + larger.left}
    if not all(sides) or not all(any(len(runs) > 1 for runs in side) for side in sides):
        return {"ahead": np.nan, "low": np.nan, "high": np.nan, **told}
    means = [np.stack([runs.mean(axis=0) for runs in side]) for side in sides]
    found = -float(signed_distance(*means).mean())
    drawn = [resampled_means(side, seed=number) for number, side in enumerate(sides)]
    spread = -signed_distance(*drawn).mean(axis=-1)
    low, high = np.quantile(spread - spread.mean(), [level / 2, 1 - level / 2])
    return {"ahead": found, "low": found + low, "high": found + high, **told}


def fronts(
    tried: Runs, fresh: Runs, selection: Selection, budget: Budget, most: float
) -> Mapping[str, Configurations]:
    """Return the configurations of each network and optimizer, within the budget."""
    on, measured = (
        points(found, selection, budget, most, fresh=found is fresh) for found in (tried, fresh)
    )
    objectives = dict.fromkeys(fresh[0].tasks, True)
    return {
        str(method): configurations(
            part[part["split"] == selection.split],
            measured[(measured["method"] == method) & (measured["split"] == "test")],
            objectives,
            ["configuration"],
        )
        for method, part in on.groupby("method")
    }


def distances(sides: Mapping[str, Configurations], budget: Budget, most: float) -> pd.DataFrame:
    """Return one row a network and optimizer: how far the latter's points lie inside its front.

    Intervals are adjusted over the optimizers by Bonferroni.
    """
    rows = [
        {
            "network": network,
            "optimizer": other,
            "budget": budget,
            "spent": most,
            **ahead(sides[network], sides[other], LEVEL / len(OPTIMIZERS)),
        }
        for network in ("scalarization", "narrow", *LARGER)
        for other in OPTIMIZERS
        if {network, other} <= set(sides)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def pays(rows: pd.DataFrame) -> str:
    """Return C16's verdict from the distances of one network at one budget.

    Supported: every optimizer's points surely lie inside its front. Not supported: those of one
    surely lie beyond it. An optimizer without a distance leaves it undecided, and so does a chosen
    configuration that was not run again: its point would move a front.
    """
    if len(rows) == 0 or rows["left"].any():
        return "undecided"
    if (rows["high"] < 0).any():
        return "not supported"
    whole = set(rows["optimizer"]) == set(OPTIMIZERS) and rows["low"].notna().all()
    return "supported" if whole and (rows["low"] > 0).all() else "undecided"


Fronts = Mapping[Budget, Mapping[str, Configurations]]


def draw(sides: Fronts, rows: pd.DataFrame, tasks: Sequence[str], out: Path) -> None:
    """Draw fronts and distances."""
    draw_fronts(sides, tasks, out / "fronts.png")
    draw_distances(rows, out / "capacity.png")


def draw_fronts(sides: Fronts, tasks: Sequence[str], path: Path) -> None:
    """Draw the fronts of networks and the points of optimizers on test, a panel a budget.

    What lies far behind is counted in the title: collapsed networks would take all the room.
    """
    figure, axes = plt.subplots(1, len(sides), figsize=(11, 4), layout="constrained")
    for ax, (budget, own) in zip(axes, sides.items(), strict=True):
        every = np.array([runs.mean(0) for side in own.values() for runs in side.front()])
        every = every.reshape(-1, len(tasks))
        least = every.max(0, initial=-np.inf) - SHOWN
        far = int((every < least).any(1).sum())
        for (name, side), marker in zip(own.items(), cycle("os^DvP*X"), strict=False):
            means = np.array([runs.mean(0) for runs in side.front()]).reshape(-1, len(tasks))
            means = means[(means >= least).all(1)]
            means = means[means[:, 0].argsort()]
            line = "" if name in OPTIMIZERS else "-"
            ax.plot(means[:, 0], means[:, 1], marker + line, mfc="none", label=name)
        told = "whole training" if budget == "whole" else f"equal {budget}"
        ax.set_title(f"{told}; {far} further than {SHOWN} behind" if far else told, fontsize=9)
        ax.set_xlabel(f"accuracy of {tasks[0]}, test")
        ax.set_ylabel(f"accuracy of {tasks[1]}, test")
    axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_distances(rows: pd.DataFrame, path: Path) -> None:
    """Draw the distances with their intervals, a panel a budget."""
    figure, axes = plt.subplots(1, len(BUDGETS), figsize=(11, 4), layout="constrained")
    for ax, budget in zip(axes, BUDGETS, strict=True):
        own = rows[rows["budget"] == budget]
        place = np.arange(len(own))
        error = np.array([own["ahead"] - own["low"], own["high"] - own["ahead"]])
        ax.errorbar(own["ahead"], place, xerr=error, fmt="o", ms=4)
        ax.set_yticks(place, own["network"] + " ahead of " + own["optimizer"])
        ax.axvline(0, color="k", lw=1)
        ax.set(title=f"equal {budget}", xlabel="points of accuracy")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def evaluate(study: Path, folder: Path, out: Path) -> Mapping[str, pd.DataFrame]:
    """Test claim C16 on the runs in RUNS: print verdicts, write tables and a figure."""
    made = read(study)
    again = next(stage for stage in made.stages if stage.name == "fresh")
    tried = finished(study, [stage.name for stage in again.again], folder, failures=True)
    fresh = finished(study, ["fresh"], folder)
    if not fresh.seeds:
        raise TrajlabError("no seed is finished on every front; train one with `trajlab study run`")
    # as the study chose what to run again
    budgets: dict[Budget, float] = {budget: smallest(tried.runs, budget) for budget in BUDGETS}
    sides = {
        budget: fronts(tried.runs, fresh.runs, made.selection, budget, most)
        for budget, most in budgets.items()
    }
    rows = pd.concat(
        [distances(sides[budget], budget, most) for budget, most in budgets.items()],
        ignore_index=True,
    )
    told = []
    for larger in LARGER:
        for budget in BUDGETS:
            own = rows[(rows["network"] == larger) & (rows["budget"] == budget)]
            claim = f"C16 {larger} at equal {budget}"
            nearest = own["ahead"].min() if len(own) else np.nan
            told.append({"claim": claim, "verdict": pays(own), "effect": nearest})
    whole = fronts(tried.runs, fresh.runs, made.selection, "whole", np.inf)
    draw({**sides, "whole": whole}, rows, fresh.runs[0].tasks, out)
    return {"verdicts": fresh.withhold(pd.DataFrame(told)), "distances": rows}


main = command(evaluate, Path(__file__).parent)
if __name__ == "__main__":
    main()
