"""The parameters that a sharded model has while its modules are called."""

import pytest
import torch
from torch import nn

from trajlab.errors import TrajlabError
from trajlab.record.loop.shards import Shards


class FSDPModule:
    """As ``fully_shard`` mixes into the classes of modules."""


class Sharded(FSDPModule, nn.Sequential):
    """Puts other parameters into its first layer at each call, as a sharded model does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = self[0].weight
        self[0].weight = nn.Parameter(kept.detach().clone())
        try:
            return super().forward(x)
        finally:
            self[0].weight = kept


def test_a_call_without_gradients_leaves_what_a_training_call_found() -> None:
    model = Sharded(nn.Linear(2, 1))
    parameters = dict(model.named_parameters())
    shards = Shards(model)
    shards.open(parameters)
    with torch.no_grad():
        model(torch.ones(1, 2))
    assert shards.leaves(parameters) is parameters  # nothing was found yet
    loss = model(torch.ones(1, 2)).sum()
    with torch.no_grad():
        model(torch.ones(1, 2))
    shards.close()
    leaves = shards.leaves(parameters)
    assert list(leaves) == ["0.weight", "0.bias"]
    assert leaves["0.weight"] is not parameters["0.weight"]
    gradient, _ = torch.autograd.grad(loss, list(leaves.values()))
    assert gradient.tolist() == [[1, 1]]
    model(torch.ones(1, 2))  # not looked at any more
    assert shards.leaves(parameters)["0.weight"] is leaves["0.weight"]
    shards.clear()
    assert shards.leaves(parameters) is parameters


def test_a_parameter_that_no_call_held_is_told_unless_it_is_frozen() -> None:
    model = Sharded(nn.Linear(2, 1))
    model.add_module("apart", nn.Linear(1, 1))
    model.apart.forward = lambda x: x  # type: ignore[method-assign]
    parameters = dict(model[0].named_parameters(prefix="0")) | {"1.weight": model.apart.weight}
    shards = Shards(model)
    shards.open(dict(model[0].named_parameters(prefix="0")))
    model(torch.ones(1, 2))
    shards.close()
    with pytest.raises(TrajlabError, match=r"'1\.weight' was in no module's call"):
        shards.leaves(parameters)
    model.apart.weight.requires_grad_(False)
    assert list(shards.leaves(parameters)) == ["0.weight", "0.bias"]
