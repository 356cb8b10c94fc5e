"""The quickstart: single- and multi-task runs on bundled real data, in seconds."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.record import probes
from trajlab.store import load
from trajlab.training import Plan, Problem, train
from trajlab.training.settings.digits import digits

SEEDS = 5
EPOCHS = 80
CONDITIONS = ("", "+same", "+noisy")


def plans(seeds: int = SEEDS) -> list[Plan]:
    """List the quickstart's runs: one task alone, beside its like, and beside noise.

    Parameters
    ----------
    seeds
        Runs a condition.

    Returns
    -------
    list of Plan
        Ordered by seed, so that an interrupted quickstart has whole comparisons.
    """
    return [
        Plan(
            setting=digits,
            condition=condition,
            method="uniform" if condition else "single",
            seed=seed,
            epochs=EPOCHS,
            batch_size=32,
            learning_rate=0.05,
            momentum=0.9,
        )
        for seed in range(seeds)
        for condition in CONDITIONS
    ]


def _probes(problem: Problem) -> Sequence[Any]:
    # Curvature is measured on each task's whole training set, like the training loss.
    data = {name: [{name: task.splits["train"]}] for name, task in problem.tasks.items()}
    return [probes.TaskGradients(every=1), probes.HessianTop(every="epoch", data=data)]


def _finished(path: Path) -> bool:
    try:
        return path.exists() and load(path)[0].status == "complete"
    except TrajlabError:
        return False


def run(
    folder: Path,
    *,
    seeds: int = SEEDS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Train what is missing of the quickstart's runs; finished ones are kept.

    Parameters
    ----------
    folder
        Where the trajectory files go; made if missing.
    seeds
        Runs a condition.
    progress
        Called with epochs done and epochs in all.

    Returns
    -------
    list of Path
        The trajectory files, one a run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        folder / f"{plan.method}{plan.condition}-seed{plan.seed}.h5": plan for plan in plans(seeds)
    }
    missing = {path: plan for path, plan in wanted.items() if not _finished(path)}
    total = sum(plan.epochs for plan in missing.values())
    before = 0
    for path, plan in missing.items():

        def advance(epoch: int, before: int = before) -> None:
            progress(before + epoch, total)

        train(plan, path, probes=_probes, on_epoch=advance)
        before += plan.epochs
    return list(wanted)
