"""GradNorm: weights that make the tasks' gradient norms follow their training rates."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trajlab.training.methods.method import Method, Weights
from trajlab.training.setting import MultiTaskModel


class GradNorm(Method):
    """Gradient norms at the last shared layer are balanced by gradient descent on the weights.

    With w_i the weights, G_i = w_i ‖∇_W L_i‖, and r_i = (L_i / L_i(0)) over its mean, the weights
    descend Σ |G_i − mean(G) r_i^α|, the target held fixed, and are scaled to sum to the number of
    tasks. That gradient is sign(G_i − target_i) ‖∇_W L_i‖, so no second backward is needed.

    Parameters
    ----------
    tasks, seed
        As in `Method`.
    alpha
        How strongly tasks that learn slowly are favoured.
    learning_rate
        Of the weights.

    References
    ----------
    Z. Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
    Multitask Networks", ICML 2018, algorithm 1.
    """

    def __init__(
        self, tasks: tuple[str, ...], seed: int, alpha: float = 1.5, learning_rate: float = 0.025
    ) -> None:
        super().__init__(tasks, seed)
        self._alpha = alpha
        self._rate = learning_rate
        self._first: list[float] | None = None
        self._weights = [1.0] * len(tasks)

    def weights(self, losses: Mapping[str, Tensor], model: MultiTaskModel) -> Weights:
        """Return the weights of this step, and update those of the next."""
        used = dict(zip(self.tasks, self._weights, strict=True))
        ordered = [losses[task] for task in self.tasks]
        layer = last_layer(model)
        norms = torch.stack(
            [torch.autograd.grad(loss, layer, retain_graph=True)[0].norm() for loss in ordered]
        ).double()
        now = torch.stack(ordered).detach().double()
        self._first = self._first or now.tolist()
        rates = now / now.new_tensor(self._first)
        weights = now.new_tensor(self._weights)
        weighted = weights * norms
        target = weighted.mean() * (rates / rates.mean()) ** self._alpha
        moved = weights - self._rate * torch.sign(weighted - target) * norms
        # A weight must not turn its task around; the paper's rates do not come near it.
        moved = moved.clamp(min=1e-6)
        self._weights = (len(self.tasks) * moved / moved.sum()).tolist()
        return used

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return super().state_dict() | {"first": self._first, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        super().load_state_dict(state)
        self._first, self._weights = state["first"], state["weights"]


def last_layer(model: MultiTaskModel) -> Tensor:
    """Return the weight matrix of the trunk's last layer that has one."""
    return [parameter for parameter in model.trunk.parameters() if parameter.ndim > 1][-1]
