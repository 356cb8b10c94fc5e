"""FAMO: weights that let all losses fall at one rate, without the tasks' gradients."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trajlab.training.methods.method import Method, Weights
from trajlab.training.setting import MultiTaskModel


class Famo(Method):
    """Fast adaptive multi-task optimization: the update of least improvement, amortised over steps.

    With z = softmax(ξ), the weights are c z_k / L_k, scaled to sum to 1. After each update the
    losses of the same batch tell by how much each logarithm fell; ξ descends Σ z_k of that.

    Parameters
    ----------
    tasks, seed
        As in `Method`.
    learning_rate
        Of ξ, by Adam.
    gamma
        Weight decay of ξ: towards equal z.

    References
    ----------
    B. Liu et al., "FAMO: Fast Adaptive Multitask Optimization", NeurIPS 2023, algorithm 1.
    """

    def __init__(
        self,
        tasks: tuple[str, ...],
        seed: int,
        learning_rate: float = 0.025,
        gamma: float = 0.001,
    ) -> None:
        super().__init__(tasks, seed)
        self._logits = nn.Parameter(torch.zeros(len(tasks)))
        self._optimizer = torch.optim.Adam([self._logits], lr=learning_rate, weight_decay=gamma)
        self._before = torch.zeros(len(tasks))

    def weights(self, losses: Mapping[str, Tensor], model: MultiTaskModel) -> Weights:
        """Return z_k / L_k over their sum."""
        now = self._ordered(losses)
        self._before = now.log()
        shares = self._logits.detach().softmax(0) / now
        return dict(zip(self.tasks, (shares / shares.sum()).tolist(), strict=True))

    def after_update(self, again: Callable[[], Mapping[str, Tensor]]) -> None:
        """Move ξ by how much each loss fell."""
        with torch.no_grad():
            fallen = self._before - self._ordered(again()).log()
        self._optimizer.zero_grad()
        (self._logits.softmax(0) @ fallen).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def _ordered(self, losses: Mapping[str, Tensor]) -> Tensor:
        # a loss of exactly 0 has no logarithm
        values = torch.stack([losses[task].detach() for task in self.tasks])
        return values.to(self._logits).clamp(min=1e-8)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return super().state_dict() | {
            "logits": self._logits.data,
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        super().load_state_dict(state)
        self._logits.data = state["logits"]
        self._optimizer.load_state_dict(state["optimizer"])
