"""Less training data, or inputs that two tasks share in part, from a problem that has all of it."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.training.setting import Examples, Problem, Split, Task

Share = float | Mapping[str, float]


class Rows:
    """Some rows of examples that are read when they are asked for.

    Parameters
    ----------
    examples
        All of them.
    rows
        ``(n,)`` which.
    """

    def __init__(self, examples: Examples, rows: Tensor) -> None:
        self._examples = examples
        self._rows = rows

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._rows)

    def __getitem__(self, rows: Tensor, /) -> Tensor:
        """Return what belongs to these rows of the chosen ones."""
        return self._examples[self._rows[rows]]


def keep(problem: Problem, share: Share) -> Problem:
    """Return a problem with the first examples of each task's training set only.

    Settings shuffle by seed, so the first ones are a random sample, the same in every condition;
    tasks with shared inputs keep the same ones.

    Parameters
    ----------
    problem
        With all of them.
    share
        Of the training examples, above 0 and up to 1: of all tasks, or by the task's name (others
        keep theirs). At least one example is kept.

    Raises
    ------
    TrajlabError
        If a share is none, its task is not there, or tasks with shared inputs are to differ.
    """
    shares = dict(share) if isinstance(share, Mapping) else dict.fromkeys(problem.tasks, share)
    for name, value in shares.items():
        if name not in problem.tasks:
            raise TrajlabError(
                f"share names {name!r}, which is no task; there are {', '.join(problem.tasks)}"
            )
        if not 0 < value <= 1:
            raise TrajlabError(f"share of {name} is {value:g}; give one above 0 and up to 1")
    kept = {name: shares.get(name, 1.0) for name in problem.tasks}
    if problem.shared_inputs and len(set(kept.values())) > 1:
        raise TrajlabError(
            "tasks with shared inputs have the same examples, so one share holds for all; give one "
            "number"
        )
    if set(kept.values()) == {1.0}:
        return problem
    counts = {
        name: max(1, round(kept[name] * len(task.splits["train"][1])))
        for name, task in problem.tasks.items()
    }
    return replace(
        problem,
        tasks=_with_rows(problem, {name: torch.arange(count) for name, count in counts.items()}),
    )


def overlap(problem: Problem, shared: float) -> Problem:
    """Return a problem of two tasks with inputs of their own, a given share of which is the same.

    Both have half of the training examples, whatever they share: the first task the first half, the
    second as many from where the overlap begins. Each draws its own batches.

    Parameters
    ----------
    problem
        Two tasks with shared inputs, or one, which gets what it has beside any other.
    shared
        Share of a task's inputs that are the other's too, from 0 to 1.

    Raises
    ------
    TrajlabError
        If the share is none, or the problem has other tasks.
    """
    if not 0 <= shared <= 1:
        raise TrajlabError(f"overlap={shared:g}; give a share of the inputs from 0 to 1")
    names = list(problem.tasks)
    if not problem.shared_inputs or len(names) > 2:
        raise TrajlabError(
            "overlap takes inputs that two tasks share apart; choose a setting with shared inputs "
            "and a condition of one or two of its tasks"
        )
    half = len(problem.tasks[names[0]].splits["train"][1]) // 2
    starts = (0, half - round(shared * half))
    rows = {
        name: torch.arange(start, start + half)
        for name, start in zip(names, starts[: len(names)], strict=True)
    }
    return replace(problem, tasks=_with_rows(problem, rows), shared_inputs=False)


def _with_rows(problem: Problem, rows: Mapping[str, Tensor]) -> dict[str, Task]:
    """Return the tasks with these training rows; inputs that were one object stay one if they can.

    Tasks with the same rows of the same inputs get the same tensor, which goes through the trunk
    once.
    """
    taken: dict[tuple[int, int, int], Examples] = {}
    tasks = {}
    for name, task in problem.tasks.items():
        inputs, targets = task.splits["train"]
        chosen = rows[name]
        what = id(inputs), int(chosen[0]), len(chosen)
        if what not in taken:
            taken[what] = _take(inputs, chosen)
        split: Split = taken[what], _take(targets, chosen)
        tasks[name] = replace(task, splits={**task.splits, "train": split})
    return tasks


def _take(examples: Examples, rows: Tensor) -> Examples:
    return examples[rows] if isinstance(examples, Tensor) else Rows(examples, rows)
