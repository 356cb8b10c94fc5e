"""The quickstart: single- and multi-task runs on bundled real data, in seconds."""

from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import torch

from trajlab.errors import TrajlabError
from trajlab.record import probes
from trajlab.store import load
from trajlab.study.runner import local, stop
from trajlab.training import Plan, Problem, train
from trajlab.training.settings.digits import digits

SEEDS = 5
EPOCHS = 80
WORKERS = 2
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
    """Train what is missing of the quickstart's runs, two at a time; finished ones are kept.

    Parameters
    ----------
    folder
        Where the trajectory files go; made if missing.
    seeds
        Runs a condition.
    progress
        Called with runs done and runs in all.

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
    progress(0, len(missing))
    with local(WORKERS).start() as executor:
        try:
            trained = [executor.submit(_train, plan, path) for path, plan in missing.items()]
            for done, future in enumerate(as_completed(trained), 1):
                future.result()
                progress(done, len(missing))
        except BaseException:
            stop(executor)
            raise
    return list(wanted)


def _train(plan: Plan, path: Path) -> None:
    torch.set_num_threads(1)
    train(plan, path, probes=_probes)
