"""Endless batches: every pass over the data in a new order, from a stream of its own."""

from typing import Any

import torch
from torch import Tensor

from trajlab.training.setting import Examples, Split


def pick(examples: Examples, rows: Tensor) -> Tensor:
    """Return the examples of these rows ``(n,)``.

    Of a tensor on a CPU, `index_select` copies rows in half the time that indexing takes.
    """
    return examples.index_select(0, rows) if isinstance(examples, Tensor) else examples[rows]


class Batches:
    """Batches of one or several splits with the same rows, without end.

    Parameters
    ----------
    splits
        By task; those of several tasks share their inputs.
    size
        Examples a batch; the last one of a pass may have fewer.
    seed
        Of the order.
    device
        Where batches go.
    """

    def __init__(
        self, splits: dict[str, Split], size: int, seed: int, device: torch.device
    ) -> None:
        self._splits = splits
        self._size = size
        self._device = device
        self._generator = torch.Generator().manual_seed(seed)
        inputs, _ = next(iter(splits.values()))
        self._rows = len(inputs)
        self._start_pass()

    @property
    def tasks(self) -> set[str]:
        """Names of the tasks that it serves."""
        return set(self._splits)

    def __len__(self) -> int:
        """Return the number of batches a pass."""
        return -(-self._rows // self._size)

    def draw(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return the next batch of each task: inputs and targets."""
        if self._position == len(self):
            self._start_pass()
        rows = self._order[self._position * self._size :][: self._size]
        self._position += 1
        first, _ = next(iter(self._splits.values()))
        inputs = pick(first, rows).to(self._device)
        return {
            name: (inputs, pick(targets, rows).to(self._device))
            for name, (_, targets) in self._splits.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return {"generator": self._before, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._generator.set_state(state["generator"])
        self._start_pass()
        self._position = state["position"]

    def _start_pass(self) -> None:
        self._before = self._generator.get_state()
        self._order = torch.randperm(self._rows, generator=self._generator)
        self._position = 0
