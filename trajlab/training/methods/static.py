"""Weights that never change."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.training.methods.method import Method, Weights, one_each
from trajlab.training.setting import MultiTaskModel


class Uniform(Method):
    """The sum of the losses over C: the uniform multi-task gradient of Mueller et al. (2024).

    Parameters
    ----------
    tasks, seed
        As in `Method`.
    C
        1 for the sum, ``"K"`` for the mean over the tasks.

    Raises
    ------
    TrajlabError
        If C is neither.
    """

    def __init__(self, tasks: tuple[str, ...], seed: int, C: int | str = 1) -> None:
        super().__init__(tasks, seed)
        if C not in (1, "K"):
            raise TrajlabError(f"C={C!r} is neither 1 (the sum) nor 'K' (the mean)")
        self._weights = dict.fromkeys(tasks, 1 / len(tasks)) if C == "K" else None

    def weights(self, losses: Mapping[str, Tensor], model: MultiTaskModel) -> Weights:
        """Return 1 / C for every task."""
        return self._weights


class Static(Method):
    """Given weights: scalarization.

    Parameters
    ----------
    tasks, seed
        As in `Method`.
    weights
        One a task, in the order of the tasks.

    Raises
    ------
    TrajlabError
        If there is not one weight a task.
    """

    def __init__(self, tasks: tuple[str, ...], seed: int, weights: Sequence[float]) -> None:
        super().__init__(tasks, seed)
        self._weights = dict(zip(tasks, one_each(weights, tasks, "static"), strict=True))

    def weights(self, losses: Mapping[str, Tensor], model: MultiTaskModel) -> Weights:
        """Return the given weights."""
        return self._weights


class Sampling(Method):
    """One task a step, drawn with given probabilities: scalarization in expectation.

    An epoch has as many steps as with all tasks in each.

    Parameters
    ----------
    tasks, seed
        As in `Method`.
    weights
        Proportional to the probabilities, in the order of the tasks; equal by default.

    Raises
    ------
    TrajlabError
        If there is not one weight a task.

    References
    ----------
    D. Xin et al., "Do Current Multi-Task Optimization Methods in Deep Learning Even Help?",
    NeurIPS 2022.
    """

    def __init__(
        self, tasks: tuple[str, ...], seed: int, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__(tasks, seed)
        self._probabilities = torch.tensor(one_each(weights, tasks, "sampling"))

    def draw(self) -> tuple[str, ...]:
        """Return the one task of the coming step."""
        index = torch.multinomial(self._probabilities, 1, generator=self._generator)
        return (self.tasks[int(index)],)
