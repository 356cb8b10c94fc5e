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


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**16 + 1, 3 * 2**16 + 5])
def test_distances_of_many_weights_are_added_run_by_run(size: int) -> None:
    here = torch.randn(size, generator=torch.Generator().manual_seed(0))
    there = torch.randn(size, generator=torch.Generator().manual_seed(1))
    found = layer_distances({"a.w": here}, {"a.w": there})["a"]
    assert found == pytest.approx((here.double() - there.double()).norm().item(), rel=1e-12)


def test_distances_of_complex_and_coarse_weights_lose_nothing() -> None:
    z = torch.tensor([3 + 4j, 1j])
    coarse = torch.tensor([256.0, 1.0], dtype=torch.bfloat16)
    here, there = {"a.z": z, "b.w": coarse}, {"a.z": 0 * z, "b.w": coarse * 0 + 1}
    assert layer_distances(here, there) == {"a": pytest.approx(26**0.5), "b": 255.0}


def test_the_barrier_is_the_largest_rise_above_the_line_of_the_ends() -> None:
    """Losses 1 at the first end and 4 at the last one: 3 at .3 rises by 1.1, 4.5 at .9 by .8."""
    losses = [1.0, 1.3, 1.6, 3.0, 2.2, 2.5, 2.8, 3.1, 3.4, 4.5, 4.0]
    found = interpolation_barrier(
        lambda p: torch.tensor(losses[round(p["w"].item() * 10)]),
        {"w": torch.zeros(1)},
        {"w": torch.ones(1)},
    )
    assert found.height == pytest.approx(3 - (1 + 0.3 * 3))
    assert found.position == pytest.approx(0.3)
    assert found.losses == pytest.approx(losses)
    assert found.positions == pytest.approx([k / 10 for k in range(11)])
