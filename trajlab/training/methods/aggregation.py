"""Methods that aggregate the tasks' gradients, all from TorchJD, by one adapter."""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.record import Recorder
from trajlab.record.probes import Moment, Probe
from trajlab.record.probes.probe import Row
from trajlab.store import Column, Table
from trajlab.training.methods.method import Method
from trajlab.training.setting import MultiTaskModel

# Defaults of the papers where TorchJD has none.
_NEEDED: Mapping[str, Mapping[str, Any]] = {"CAGrad": {"c": 0.5}}


class Aggregation(Method):
    """One update of the trunk from the tasks' gradients; each head follows its own task.

    What is recorded as the Gram matrix is that of the gradients before they are aggregated. The
    weights that the aggregation amounts to are recorded beside the losses, NaN where it is no
    weighted sum (GradDrop); the update's inner product with each task's gradient is in the table
    ``aggregation``.

    Parameters
    ----------
    tasks, seed
        As in `Method`.
    aggregator
        Name of a class of `torchjd.aggregation`.
    options
        Its options.

    Raises
    ------
    TrajlabError
        If TorchJD is missing or refuses the options.
    """

    def __init__(
        self, tasks: tuple[str, ...], seed: int, aggregator: str, options: Mapping[str, Any]
    ) -> None:
        super().__init__(tasks, seed)
        try:
            from torchjd import Stateful, aggregation
        except ModuleNotFoundError as error:
            raise TrajlabError(
                f"{aggregator} is TorchJD's; pip install 'trajlab[training]'"
            ) from error
        needed = dict(_NEEDED.get(aggregator, {}))
        if aggregator == "NashMTL":
            needed["n_tasks"] = len(tasks)
        try:
            self._aggregator = getattr(aggregation, aggregator)(**needed | dict(options))
        except (TypeError, ValueError) as error:
            raise TrajlabError(f"{aggregator} of TorchJD refuses {options}: {error}") from error
        self._weights: Sequence[float] = [nan] * len(tasks)
        self.resumable = not isinstance(self._aggregator, Stateful)
        weighting = getattr(self._aggregator, "weighting", None)
        if weighting is not None:
            weighting.register_forward_hook(self._remember)
        self._update = Update()

    @property
    def probes(self) -> Sequence[Probe]:
        """The table ``aggregation``."""
        return [self._update]

    def backward(
        self, recorder: Recorder, losses: Mapping[str, Tensor], model: MultiTaskModel
    ) -> None:
        """Record the step; put the aggregated gradient on the trunk, own gradients on heads."""
        trunk = [p for p in model.trunk.parameters() if p.requires_grad]
        rows = []
        for task in self.tasks:
            heads = list(model.heads[task].parameters())
            found = torch.autograd.grad(losses[task], [*trunk, *heads], retain_graph=True)
            rows.append(torch.cat([gradient.flatten() for gradient in found[: len(trunk)]]))
            for parameter, gradient in zip(heads, found[len(trunk) :], strict=True):
                parameter.grad = gradient
        jacobian = torch.stack(rows)
        update = self._aggregator(jacobian)
        self._update.dot, self._update.norm = jacobian @ update, update.norm()
        recorder.observe(losses, dict(zip(self.tasks, self._weights, strict=True)))
        start = 0
        for parameter in trunk:
            parameter.grad = update[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()

    def _remember(self, _module: Any, _inputs: Any, weights: Tensor) -> None:
        self._weights = weights.tolist()


class Update(Probe):
    """The aggregated gradient of the trunk: its norm, and its product with each task's own.

    Attributes
    ----------
    dot
        (task,) at the present step.
    norm
        A scalar.
    """

    needs_graph = True  # so that it measures where there are losses

    def __init__(self) -> None:
        super().__init__(every=10)
        self.dot = Tensor()
        self.norm = Tensor()

    def table(self, moment: Moment) -> Table:
        """Declare ``aggregation``."""
        return Table(
            "aggregation",
            (
                Column(
                    "update_dot",
                    ("step", "task"),
                    description="inner product of the aggregated gradient with the task's own",
                ),
                Column("update_norm", description="norm of the aggregated gradient"),
            ),
            {"task": list(moment.tasks)},
        )

    def measure(self, moment: Moment) -> Row:
        """Return ``update_dot`` (task,) and ``update_norm``."""
        return {"update_dot": self.dot, "update_norm": self.norm}
