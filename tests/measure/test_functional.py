"""A function of a model at other values of its parameters."""

import pytest
import torch
from torch import nn

from trajlab.measure.functional import evaluate_at


def test_values_stand_for_the_parameters_meanwhile_and_the_rest_stays() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    x = torch.randn(4, 2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    loss = model(x).square().sum()
    zero = evaluate_at({"1.weight": torch.zeros(1, 2)}, model, lambda m: m(x))
    assert torch.equal(zero, model[1].bias.expand(4, 1))
    loss.backward()  # what the graph has saved was never written
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_a_tied_parameter_moves_under_both_of_its_names() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    x = torch.randn(3, 2)
    for name in ("0.weight", "1.weight"):
        assert torch.equal(evaluate_at({name: 2 * torch.eye(2)}, model, lambda m: m(x)), 4 * x)


def test_an_error_leaves_the_model_as_it_was() -> None:
    model = nn.Linear(2, 2)
    before = model.weight

    def fail(_: nn.Module) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        evaluate_at({"weight": torch.zeros(2, 2)}, model, fail)
    assert model.weight is before
