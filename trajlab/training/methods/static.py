"""Weights that never change."""

from collections.abc import Mapping

from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.training.methods.method import Method, Weights


class Uniform(Method):
    """The sum of the losses over C; the uniform multi-task gradient of Mueller et al. (2024).

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
        self._weights = {task: 1 / len(tasks) for task in tasks} if C == "K" else None

    def weights(self, losses: Mapping[str, Tensor]) -> Weights:
        """Return 1 / C for every task."""
        return self._weights
