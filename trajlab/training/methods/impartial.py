"""IMTL: gradients aggregated impartially, of losses that are balanced first."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trajlab.record import Recorder
from trajlab.training.methods.aggregation import Aggregation
from trajlab.training.setting import MultiTaskModel


class Impartial(Aggregation):
    """IMTL-G of the trunk's gradients, with losses scaled as IMTL-L scales them, heads too.

    The scales exp(s_k) are learned by the network's optimizer, on exp(s_k) L_k − s_k.

    Parameters
    ----------
    tasks, seed
        As in `Method`.

    References
    ----------
    L. Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, algorithm 1.
    """

    def __init__(self, tasks: tuple[str, ...], seed: int) -> None:
        super().__init__(tasks, seed, "IMTLG", {})
        self._log_scale = nn.Parameter(torch.zeros(len(tasks)))

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The logarithms of the scales, (task,)."""
        return [self._log_scale]

    def scales(self, losses: Mapping[str, Tensor]) -> Sequence[float]:
        """Return exp(s_k)."""
        weights: list[float] = self._log_scale.detach().exp().tolist()
        return weights

    def backward(
        self, recorder: Recorder, losses: Mapping[str, Tensor], model: MultiTaskModel
    ) -> None:
        """Do as `Aggregation` does, and leave the scales' gradients too."""
        super().backward(recorder, losses, model)
        now = torch.stack([losses[task] for task in self.tasks]).detach()
        scaled = self._log_scale.detach().exp() * now.to(self._log_scale)
        self._log_scale.grad = scaled - 1

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return super().state_dict() | {"log_scale": self._log_scale.data}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        super().load_state_dict(state)
        self._log_scale.data = state["log_scale"]
