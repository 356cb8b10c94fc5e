"""Distances, barriers and affinity in closed form."""

import pytest
import torch

from trajlab.measure.geometry import interpolation_barrier, layer_distances


def test_distances_by_layer() -> None:
    here = {"a.weight": torch.ones(2, 2), "a.bias": torch.ones(2), "b.weight": torch.zeros(3)}
    there = {"a.weight": torch.zeros(2, 2), "a.bias": -torch.ones(2), "b.weight": torch.zeros(3)}
    assert layer_distances(here, there) == {"a": pytest.approx(12**0.5), "b": 0.0}


def test_barrier_between_the_wells_of_a_double_well() -> None:
    loss = lambda p: ((p["w"] ** 2 - 1) ** 2).sum() + 0.5 * p["w"].sum()  # noqa: E731
    found = interpolation_barrier(
        loss, {"w": torch.tensor([-1.0])}, {"w": torch.tensor([1.0])}, points=21
    )
    assert found.height == pytest.approx(1.0)
    assert found.position == 0.5
    assert found.losses[0] == pytest.approx(-0.5)
    assert len(found.positions) == 21


def test_loss_may_hold_a_gradient() -> None:
    def loss(p: dict[str, torch.Tensor]) -> torch.Tensor:
        x = torch.ones(1, requires_grad=True)
        (slope,) = torch.autograd.grad((p["w"] * x**2).sum(), x, create_graph=True)
        return slope.sum()  # 2 w

    found = interpolation_barrier(
        loss, {"w": torch.nn.Parameter(torch.ones(1))}, {"w": torch.zeros(1)}
    )
    assert found.losses[0] == 2.0
    assert found.losses[-1] == 0.0


def test_no_barrier_in_a_bowl() -> None:
    found = interpolation_barrier(
        lambda p: p["w"].pow(2).sum(), {"w": torch.ones(2)}, {"w": -2 * torch.ones(2)}
    )
    assert found.height == 0.0
