"""Optimizers and schedules against the rates that their formulas have."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from trajlab.errors import TrajlabError
from trajlab.training.optimization import OPTIMIZERS, make_optimizer, make_schedule

EPOCH, EPOCHS = 5, 8


def rates(table: dict[str, Any]) -> list[float]:
    """Return the learning rate of each update, of a base rate of 2."""
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = make_optimizer("sgd", [parameter], 2.0, 0.0, 0.0)
    schedule = make_schedule(table, optimizer, EPOCH, EPOCHS)
    found = []
    for _ in range(EPOCH * EPOCHS):
        found.append(optimizer.param_groups[0]["lr"])
        parameter.grad = torch.ones(1)
        optimizer.step()
        if schedule:
            schedule.step()
    return found


@pytest.mark.parametrize(
    ("table", "formula"),
    [
        ({"name": "constant"}, lambda t: 2.0),
        ({"name": "step", "every": 3, "factor": 0.5}, lambda t: 2 * 0.5 ** (t // 15)),
        ({"name": "exponential", "factor": 0.5}, lambda t: 2 * 0.5 ** (t / 5)),
        ({"name": "cosine"}, lambda t: 1 + math.cos(math.pi * t / 40)),
        (
            {"name": "inverse-sqrt", "warmup": 10},
            lambda t: 2 * min((t + 1) / 10, math.sqrt(10 / (t + 1))),
        ),
        # as they are where a study says no more
        ({"name": "step"}, lambda t: 2.0),
        ({"name": "step", "every": 1}, lambda t: 2 * 0.85 ** (t // 5)),
        ({"name": "exponential"}, lambda t: 2 * 0.95 ** (t / 5)),
        ({"name": "inverse-sqrt"}, lambda t: 2 * (t + 1) / 4000),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_a_schedule_has_its_formula(table: dict[str, Any], formula: Callable[[int], float]) -> None:
    assert rates(table) == pytest.approx([formula(t) for t in range(40)], rel=1e-6)


@pytest.mark.parametrize(
    ("name", "moved"),
    [
        ("sgd", 0.1 * (3 + 0.5 * 2)),  # the gradient and the decay of a weight of 2
        ("adam", 0.1),  # the rate in the gradient's direction, whatever the decay adds to it
        ("adamw", 0.1 + 0.1 * 0.5 * 2),  # and the decay apart
    ],
)
def test_a_first_step_is_the_optimizers_own(name: str, moved: float) -> None:
    parameter = nn.Parameter(torch.full((1,), 2.0))
    optimizer = make_optimizer(name, [parameter], 0.1, 0.0, 0.5)
    assert type(optimizer) is OPTIMIZERS[name]
    parameter.grad = torch.full((1,), 3.0)
    optimizer.step()
    assert 2 - parameter.item() == pytest.approx(moved, rel=1e-5)


def test_momentum_of_sgd_carries_a_step_on() -> None:
    """v = 0.9 v + g: after two steps of gradient 3 the weight has moved by 3 and by 5.7 rates."""
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = make_optimizer("sgd", [parameter], 0.1, 0.9, 0.0)
    for moved in (3, 3 + 5.7):
        parameter.grad = torch.full((1,), 3.0, dtype=torch.float64)
        optimizer.step()
        assert -parameter.item() == pytest.approx(0.1 * moved)


def test_the_rate_falls_by_a_step_after_thirty_epochs() -> None:
    optimizer = make_optimizer("sgd", [nn.Parameter(torch.zeros(1))], 2.0, 0.0, 0.0)
    schedule = make_schedule({"name": "step"}, optimizer, 1, 40)
    assert schedule is not None
    found = []
    for _ in range(31):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert found == pytest.approx([2.0] * 30 + [2 * 0.85])


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"name": "step", "factor": "x"}, "factor of schedule 'step' is 'x'; give a number"),
        ({"name": "linear"}, "schedule 'linear' is unknown; choose among constant, step"),
        ({"name": "cosine", "factor": 1}, "'cosine' has no option 'factor'; it has none"),
        ({"name": "step", "gamma": 1}, "no option 'gamma'; it has every, factor"),
        ({"name": "step", "every": 0}, "every of schedule 'step' is 0; give a number above 0"),
    ],
)
def test_wrong_schedules_are_refused(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        rates(table)


def test_momentum_is_of_sgd_and_names_are_known() -> None:
    with pytest.raises(TrajlabError, match=r"momentum=0.9 is of sgd; leave it out with adam"):
        make_optimizer("adam", [], 0.1, 0.9, 0.0)
    with pytest.raises(TrajlabError, match="optimizer 'lion' is unknown"):
        make_optimizer("lion", [], 0.1, 0.0, 0.0)
