"""Methods that aggregate the tasks' gradients, all from TorchJD, by one adapter."""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.record import Recorder
from trajlab.record.probes import Probe
from trajlab.training.methods.method import Method
from trajlab.training.methods.update import Update
from trajlab.training.setting import MultiTaskModel

# Defaults of the papers where TorchJD has none.
_NEEDED: Mapping[str, Mapping[str, Any]] = {"CAGrad": {"c": 0.5}, "FairGrad": {"alpha": 1.0}}


class Aggregation(Method):
    """One update of the trunk from the tasks' gradients; each head follows its own task.

    What is recorded as the Gram matrix is that of the gradients before they are aggregated. The
    weights that the aggregation amounts to are recorded beside the losses, NaN where it is no
    weighted sum by its making (ConFIG, GradDrop). The table ``aggregation`` has for all of them the
    update's inner product with each task's gradient, and the weights that it implies.

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
        if isinstance(self._aggregator, aggregation.WeightedAggregator):
            self._aggregator.weighting.register_forward_hook(self._remember)
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
        scales = self.scales(losses)
        rows = []
        for task, scale in zip(self.tasks, scales, strict=True):
            heads = list(model.heads[task].parameters())
            gradients = torch.autograd.grad(losses[task], [*trunk, *heads], retain_graph=True)
            rows.append(torch.cat([gradient.flatten() for gradient in gradients[: len(trunk)]]))
            for parameter, gradient in zip(heads, gradients[len(trunk) :], strict=True):
                parameter.grad = scale * gradient
        jacobian = torch.stack(rows)
        update = self._aggregate(jacobian * jacobian.new_tensor(scales)[:, None])
        self._update.jacobian, self._update.update = jacobian, update
        weights = [weight * scale for weight, scale in zip(self._weights, scales, strict=True)]
        recorder.observe(losses, dict(zip(self.tasks, weights, strict=True)))
        start = 0
        for parameter in trunk:
            parameter.grad = update[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()

    def scales(self, losses: Mapping[str, Tensor]) -> Sequence[float]:
        """Return what each task's loss is multiplied by before gradients are aggregated."""
        return [1.0] * len(self.tasks)

    def _aggregate(self, jacobian: Tensor) -> Tensor:
        """Return the update of the trunk; NaN where the run has diverged.

        Of gradients whose squares are no longer finite some aggregators make numbers, and others
        end in an error of the linear algebra beneath.
        """
        if jacobian.square().sum().isfinite():
            combined: Tensor = self._aggregator(jacobian)
            return combined
        self._weights = [nan] * len(self.tasks)
        return torch.full_like(jacobian[0], nan)

    def _remember(self, _module: Any, _inputs: Any, weights: Tensor) -> None:
        self._weights = weights.tolist()
