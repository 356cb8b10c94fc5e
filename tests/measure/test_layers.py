"""Layers by the names of their parameters."""

import torch
from torch import nn

from trajlab.measure.layers import group_by_layer, modules_of


class Tied(nn.Module):
    """A parameter of the model's own, a module that owns none, and a weight used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False))
        self.inner[1].weight = self.inner[0].weight


def test_a_layer_owns_its_parameters_and_a_tied_one_counts_where_it_is_first() -> None:
    model = Tied()
    names_by_layer = group_by_layer(dict(model.named_parameters()))
    assert names_by_layer == {"": ["scale"], "inner.0": ["inner.0.weight", "inner.0.bias"]}
    assert modules_of(model, names_by_layer) == {"": model, "inner.0": model.inner[0]}
