"""Weights that are drawn, learned, or follow the losses."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.record import Recorder
from trajlab.training.methods.method import Method, Weights
from trajlab.training.setting import MultiTaskModel


class RandomWeights(Method):
    """Random loss weighting: weights drawn anew at every step, with sum 1.

    Parameters
    ----------
    tasks, seed
        As in `Method`.
    distribution
        ``normal``: the softmax of standard normal numbers; ``dirichlet``: uniform on the simplex.

    Raises
    ------
    TrajlabError
        If the distribution is unknown.

    References
    ----------
    B. Lin et al., "Reasonable Effectiveness of Random Weighting", TMLR 2022.
    """

    def __init__(self, tasks: tuple[str, ...], seed: int, distribution: str = "normal") -> None:
        super().__init__(tasks, seed)
        if distribution not in ("normal", "dirichlet"):
            raise TrajlabError(f"distribution={distribution!r}; use 'normal' or 'dirichlet'")
        self._normal = distribution == "normal"

    def weights(self, losses: Mapping[str, Tensor], model: MultiTaskModel) -> Weights:
        """Draw the weights of this step."""
        if self._normal:
            drawn = torch.randn(len(self.tasks), generator=self._generator).softmax(0)
        else:  # exponential numbers over their sum
            uniform = torch.rand(len(self.tasks), generator=self._generator)
            drawn = -torch.log1p(-uniform)
            drawn = drawn / drawn.sum()
        return dict(zip(self.tasks, drawn.tolist(), strict=True))


class Uncertainty(Method):
    """Σ L_k / σ_k² + log σ_k, with log σ_k² learned beside the network.

    References
    ----------
    A. Kendall, Y. Gal, R. Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for
    Scene Geometry and Semantics", CVPR 2018: its form for classification; a squared error halved
    is the form for regression.
    """

    _penalty = 0.5  # of log σ²

    def __init__(self, tasks: tuple[str, ...], seed: int) -> None:
        super().__init__(tasks, seed)
        self._log_variance = nn.Parameter(torch.zeros(len(tasks)))

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The logarithms of the variances, (task,)."""
        return [self._log_variance]

    def weights(self, losses: Mapping[str, Tensor], model: MultiTaskModel) -> Weights:
        """Return 1 / σ² for each task, with its graph."""
        return dict(zip(self.tasks, torch.exp(-self._log_variance), strict=True))

    def backward(
        self, recorder: Recorder, losses: Mapping[str, Tensor], model: MultiTaskModel
    ) -> None:
        """Record the step; the gradient of Σ log σ is added to that of the weighted losses."""
        super().backward(recorder, losses, model)
        (self._log_variance.sum() * self._penalty).backward()  # type: ignore[no-untyped-call]

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return super().state_dict() | {"log_variance": self._log_variance.data}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        super().load_state_dict(state)
        self._log_variance.data = state["log_variance"]


class LossBalance(Uncertainty):
    """IMTL-L: Σ exp(s_k) L_k − s_k, with s_k learned beside the network, so that all weigh alike.

    That is `Uncertainty` with a penalty of log σ² in the place of log σ, and s = −log σ².

    References
    ----------
    L. Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021.
    """

    _penalty = 1.0


class DynamicWeightAverage(Method):
    """K · softmax(r / T), r the ratio of a task's losses in the two epochs before.

    Parameters
    ----------
    tasks, seed
        As in `Method`.
    temperature
        T; the larger, the more even the weights.

    References
    ----------
    S. Liu, E. Johns, A. J. Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019.
    """

    def __init__(self, tasks: tuple[str, ...], seed: int, temperature: float = 2.0) -> None:
        super().__init__(tasks, seed)
        self._temperature = temperature
        self._epochs: list[list[float]] = []

    def weights(self, losses: Mapping[str, Tensor], model: MultiTaskModel) -> Weights:
        """Return the weights of this epoch; 1 in the first two."""
        if len(self._epochs) < 2:
            return dict.fromkeys(self.tasks, 1.0)
        before, last = torch.tensor(self._epochs, dtype=torch.float64)
        weights = len(self.tasks) * (last / before / self._temperature).softmax(0)
        return dict(zip(self.tasks, weights.tolist(), strict=True))

    def end_epoch(self, losses: Mapping[str, float]) -> None:
        """Remember the mean losses of the last two epochs."""
        self._epochs = [*self._epochs[-1:], [losses[task] for task in self.tasks]]

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return super().state_dict() | {"epochs": self._epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        super().load_state_dict(state)
        self._epochs = state["epochs"]
