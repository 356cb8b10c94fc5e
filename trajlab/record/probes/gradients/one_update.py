"""Task gradients of all passes and processes that make one update."""

from collections.abc import Mapping

import torch
from torch import Tensor

from trajlab.measure.gram.products import inner_products
from trajlab.measure.sums.gradient_sums import GradientSums
from trajlab.record.moment import Moment
from trajlab.record.probes.gradients.compiled import walking_again
from trajlab.record.probes.gradients.scope import Scope
from trajlab.record.probes.probe import Row
from trajlab.record.probes.reach import Reach


class OneUpdate:
    """Adds up each task's gradients, or sketches of them.

    Parameters
    ----------
    scope : Scope
        With respect to what.
    memory : int
        Bytes that added gradients may take; beyond, sketches of them are added.
    update : bool
        Whether to record the gradient that the optimizer takes beside them.

    Attributes
    ----------
    used : bool
        Whether anything was added yet.
    """

    def __init__(self, scope: Scope, *, memory: int, update: bool) -> None:
        self._scope = scope
        self._memory = memory
        self._update = update
        self._reach = Reach()
        self._sums: GradientSums | None = None
        self._of: object = None  # the parameters

    @property
    def used(self) -> bool:
        """Whether anything was added yet."""
        return self._sums is not None

    @property
    def method(self) -> str:
        """What the table says: ``exact``, or ``sketch``."""
        return "sketch" if self._sums is not None and self._sums.sketched else "exact"

    def add(self, moment: Moment) -> None:
        """Add the gradients of one pass."""
        parameters = self._scope.parameters(moment)
        if self._sums is None or self._of is not parameters:
            self._of = parameters
            self._sums = GradientSums(parameters, len(moment.tasks), memory=self._memory)
        if moment.first:
            self._sums.clear()
        with walking_again():
            self._sums.add(
                [moment.losses.get(task) for task in moment.tasks],
                {name: moment.leaves.get(name, parameters[name]) for name in parameters},
                share=1 / moment.passes,
                loss_scale=moment.loss_scale,
            )

    def complete(self, moment: Moment, update: Mapping[str, Tensor]) -> Row:
        """Return ``gram``; with `update`, ``update_dot`` (task,) and ``update_norm`` too."""
        assert self._sums is not None
        self._sums.average()
        self._reach.check(moment, self._sums.reached)
        row: dict[str, Tensor] = {"gram": self._sums.gram()}
        if self._update and update:
            taken = {n: _whole(update[n]) for n in self._scope.parameters(moment) if n in update}
            row["update_dot"] = self._sums.dot(taken)
            squares = [inner_products([gradient])[0, 0] for gradient in taken.values()]
            row["update_norm"] = torch.stack(squares).sum().sqrt()
        self._sums.clear()
        return row


def _whole(gradient: Tensor) -> Tensor:
    """Return a gradient with the shards of all processes, if it is a DTensor."""
    return gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
