"""The weights of the losses in the total: numbers, or tensors with a graph of their own."""

from collections.abc import Sequence

import torch
from torch import Tensor

Weight = float | Tensor


def is_one(weight: Weight) -> bool:
    """Say whether a weight is one and no tensor."""
    return not isinstance(weight, Tensor) and weight == 1


def plain(weight: Weight) -> Weight:
    """Return the weight without its graph."""
    return weight.detach() if isinstance(weight, Tensor) else weight


def is_zero(weight: Weight) -> bool:
    """Say whether a weight is zero, if that can be told without waiting for a device."""
    if isinstance(weight, Tensor):
        return weight.device.type == "cpu" and not weight.detach().any()
    return weight == 0


def vector(weights: Sequence[Weight], dtype: torch.dtype) -> Tensor:
    """Return the weights as one new tensor."""
    like = next((weight for weight in weights if isinstance(weight, Tensor)), None)
    if like is None:
        return torch.tensor(weights, dtype=dtype)
    return torch.stack([torch.as_tensor(plain(w)).to(like).reshape(()) for w in weights]).to(dtype)
