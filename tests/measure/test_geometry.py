"""Distances, barriers and affinity in closed form."""

import pytest
import torch

from trajlab.measure.affinity import task_affinity
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


def test_no_barrier_in_a_bowl() -> None:
    found = interpolation_barrier(
        lambda p: p["w"].pow(2).sum(), {"w": torch.ones(2)}, {"w": -2 * torch.ones(2)}
    )
    assert found.height == 0.0


def test_affinity_of_quadratics_in_closed_form() -> None:
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    before = w.detach().clone()

    def losses(p: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        v = p["w"]
        return [0.5 * v[0] ** 2, 0.5 * (v[0] + v[1]) ** 2, torch.zeros((), dtype=torch.float64)]

    found = task_affinity(losses, {"w": w}, 0.1)
    # a step on task 0: w0 = .9; on task 1: (.7, 1.7)
    assert found[0, 0].item() == pytest.approx(1 - 0.81)
    assert found[0, 1].item() == pytest.approx(1 - 2.9**2 / 9)
    assert found[1, 0].item() == pytest.approx(1 - 0.49)
    assert found[1, 1].item() == pytest.approx(1 - 2.4**2 / 9)
    assert found[2, 0].item() == 0.0
    assert found[:, 2].isnan().all()
    assert torch.equal(w, before)
    assert w.grad is None
