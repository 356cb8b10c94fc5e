"""A network of which the exact Hessian is known."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

Problem = tuple[Tensor, Callable[[Mapping[str, Tensor]], Tensor], dict[str, nn.Parameter], Tensor]


@pytest.fixture
def problem() -> Problem:
    """Loss, the loss as a function, parameters, and the exact Hessian of a 43-parameter network."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = 3 * torch.randn(20, 4).double(), torch.randint(0, 3, (20,))
    parameters = dict(model.named_parameters())

    def function(p: Mapping[str, Tensor]) -> Tensor:
        return cross_entropy(functional_call(model, dict(p), (x,)), y)

    loss = cross_entropy(model(x), y)
    gradient = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
    rows = [
        torch.cat(
            [
                g.flatten()
                for g in torch.autograd.grad(entry, list(parameters.values()), retain_graph=True)
            ]
        )
        for entry in torch.cat([g.flatten() for g in gradient])
    ]
    return loss, function, parameters, torch.stack(rows)
