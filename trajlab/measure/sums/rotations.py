"""Rows that are rotated, each by places of its own, and added up."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

_RUN = 32  # numbers that move together, which is some ten times as fast as each by itself
_ROWS = 256  # of them are added at once; of 1,024 columns they take 1 MiB


class Rotations:
    """Adds up rows of one length, each rotated to the right by its own number of places.

    A rotation by a multiple of 32 places moves runs of 32 numbers whole. So the runs of rows whose
    places leave one remainder are added up first, in a total of their own; the totals, one a
    remainder, are rotated by it at the end. Of few rows a run is one number, for there the end
    would be what costs, and so it is at lengths that have no divisor in common with 32.

    Parameters
    ----------
    places : Tensor
        How far each row is rotated, int64, shape (row,).
    size : int
        Numbers in a row.
    """

    def __init__(self, places: Tensor, size: int) -> None:
        self._size = size
        self._run = math.gcd(size, _RUN) if len(places) > _RUN else 1
        runs = size // self._run
        columns = torch.arange(size, device=places.device)
        self._bags = []
        for some in places.split(_ROWS):  # type: ignore[no-untyped-call]
            whole, rest = (some // self._run)[:, None], (some % self._run)[:, None]
            goals = rest * runs + (columns[:runs] + whole) % runs
            goals, order = goals.flatten().sort(stable=True)
            self._bags.append((order.int(), torch.searchsorted(goals, columns).int()))
        self._rest = (columns - columns[: self._run, None]) % size

    def added(self, vectors: Sequence[Tensor], signs: Tensor) -> Tensor:
        """Cut vectors into rows, change signs, and add up.

        Parameters
        ----------
        vectors : sequence of Tensor
            Real vectors of one length; the last row is filled up with zeros.
        signs : Tensor
            What each of their numbers is multiplied by.

        Returns
        -------
        Tensor
            float32, shape (vector, size).
        """
        length = _ROWS * self._size
        totals = torch.zeros(len(vectors), self._size, self._run, device=signs.device)
        for first, (order, starts) in enumerate(self._bags):
            here = slice(first * length, (first + 1) * length)
            sign = signs[here].float()
            for total, vector in zip(totals, vectors, strict=True):
                signed = vector[here].float() * sign
                runs = pad(signed, (0, -len(signed) % self._size)).view(-1, self._run)
                total += embedding_bag(order, runs, starts, mode="sum")
        rotated = totals.view(-1, self._run, self._size)
        return rotated.gather(2, self._rest.expand_as(rotated)).sum(1)
