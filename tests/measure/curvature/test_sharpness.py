"""Sharpness against exhaustive search and closed forms."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from trajlab.measure.curvature.sharpness import _checkpoints, average_sharpness, sharpness

Loss = Callable[[Mapping[str, Tensor]], Tensor]


def wavy(p: Mapping[str, Tensor]) -> Tensor:
    a, b, c = p["a"][0], p["a"][1], p["b"]
    return (3 * a + b).sin() + (a * b * c).cos() * c + 0.3 * a**2


def exhaustive(loss: Loss, point: Mapping[str, Tensor], rho: float) -> float:
    """Largest rise over a grid on the box |ε_i| ≤ ρ |θ_i|, by projection on it."""
    flat = torch.cat([w.reshape(-1) for w in point.values()])
    grid = torch.linspace(-rho, rho, 41, dtype=torch.float64)
    corners = torch.cartesian_prod(*[grid] * len(flat))
    rows = flat * (1 + corners)
    values = torch.vmap(lambda row: loss({"a": row[:2], "b": row[2]}))(rows)
    return values.max().item() - loss(point).item()


@pytest.mark.parametrize("rho", [0.05, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_worst_case_reaches_the_exhaustive_maximum(seed: int, rho: float) -> None:
    torch.manual_seed(seed)
    point = {"a": torch.randn(2).double(), "b": torch.randn(()).double()}
    (found,) = sharpness([wavy], point, [rho]).value
    best = exhaustive(wavy, point, rho)
    assert found == pytest.approx(best, rel=2e-3)
    assert found <= best * (1 + 2e-3)


def test_linear_loss_in_closed_form_and_list_of_radii() -> None:
    # the maximum of g·ε over |ε_i| ≤ ρ |θ_i| is ρ Σ |g_i θ_i|
    w, g = torch.randn(2, 7, dtype=torch.float64)
    found = sharpness([lambda p: (p["w"] * g).sum()], {"w": w}, [1e-3, 5e-3, 1e-2])
    expected = [rho * (g * w).abs().sum().item() for rho in (1e-3, 5e-3, 1e-2)]
    assert found.value == pytest.approx(expected, rel=1e-9)


def test_never_negative_at_a_maximum() -> None:
    w = torch.ones(3, dtype=torch.float64)
    found = sharpness([lambda p: -(p["w"] - 1).pow(2).sum()], {"w": w}, [0.1])
    assert found.value == (0.0,)


def test_mean_and_error_over_batches() -> None:
    w = torch.ones(1, dtype=torch.float64)
    slopes = [1.0, 2.0, 6.0]
    found = sharpness([lambda p, s=s: s * p["w"].sum() for s in slopes], {"w": w}, [0.5])
    rises = 0.5 * torch.tensor(slopes).double()
    assert found.value == pytest.approx([rises.mean().item()])
    assert found.se == pytest.approx([(rises.std() / 3**0.5).item()])
    assert found.disturbed == pytest.approx([4.5])


def test_finds_more_than_a_single_gradient_step() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    x, y = torch.randn(64, 4), torch.randint(0, 3, (64,))
    loss: Loss = lambda p: nn.functional.cross_entropy(functional_call(model, dict(p), (x,)), y)  # noqa: E731
    point = {name: p.detach() for name, p in model.named_parameters()}
    one, twenty = (sharpness([loss], point, [0.5], iterations=k).value[0] for k in (1, 20))
    assert twenty > 1.1 * one > 0
    assert all(torch.equal(p, point[name]) for name, p in model.named_parameters())


def test_checkpoints_are_those_of_the_paper() -> None:
    assert [at for at, _ in _checkpoints(100)] == [22, 41, 57, 70, 80, 87, 93, 99]


def visited(target: float, rho: float, iterations: int) -> list[float]:
    """Where algorithm 1 of Croce and Hein goes on -(u - target)², a point at a time."""
    before = here = best = 0.0
    step, momentum, rises, halved, best_before, last = 2 * rho, 1.0, 0, False, 0.0, 0
    path = [here]
    for k in range(iterations):
        ahead = here + step * np.sign(target - here)
        ahead = min(max(ahead, -rho), rho)
        there = here + momentum * (ahead - here) + (1 - momentum) * (here - before)
        before, here, momentum = here, min(max(there, -rho), rho), 0.75
        path.append(here)
        rises += abs(here - target) < abs(before - target)
        best = min(best, here, key=lambda u: abs(u - target))
        if k + 1 in (5, 9, 12, 14, 16, 18, 19, 20):  # of 20
            halved = rises < 0.75 * (k + 1 - last) or (not halved and best == best_before)
            if halved:
                step, here = step / 2, best
            rises, best_before, last = 0, best, k + 1
    return path


@pytest.mark.parametrize("target", [0.03, -0.071, 0.5])
def test_goes_where_the_paper_says(target: float) -> None:
    path = []

    def loss(p: Mapping[str, Tensor]) -> Tensor:
        path.append(p["w"].item() - 1)
        return -(p["w"] - 1 - target).pow(2).sum()

    found = sharpness([loss], {"w": torch.ones(1, dtype=torch.float64)}, [0.1], iterations=20)
    expected = visited(target, 0.1, 20)
    assert path == pytest.approx(expected, abs=1e-12)
    nearest = min(abs(u - target) for u in expected)
    assert found.value[0] == pytest.approx(target**2 - nearest**2, abs=1e-12)


def test_loss_that_becomes_nan_is_nan() -> None:
    w = torch.ones(1, dtype=torch.float64)
    found = sharpness([lambda p: (1.05 - p["w"]).sqrt().sum().neg()], {"w": w}, [0.1])
    assert found.value[0] != found.value[0]


def test_losses_may_hold_gradients() -> None:
    w = torch.full((4,), 0.5, dtype=torch.float64)

    def loss(p: Mapping[str, Tensor]) -> Tensor:
        x = torch.ones(4, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad((p["w"] * x**2).sum(), x, create_graph=True)
        return slope.square().sum()  # 4 Σ w²

    assert sharpness([loss], {"w": w}, [0.1]).value[0] == pytest.approx(4 * (1.21 - 1))
    found = average_sharpness([loss] * 2, {"w": w}, [0.1], draws=200)
    assert found.value[0] == pytest.approx(4 * 0.01, rel=0.3)


def test_average_case_of_a_quadratic_in_closed_form() -> None:
    # E ½ Σ a_i (θ_i + ε_i)² − ½ Σ a_i θ_i² = ½ ρ² Σ a_i θ_i²
    a, w = torch.rand(2, 30, dtype=torch.float64) + 0.5
    losses: list[Loss] = [lambda p: (0.5 * a * p["w"] ** 2).sum()] * 20
    found = average_sharpness(losses, {"w": w}, [0.1, 0.4], seed=1)
    expected = [0.5 * rho**2 * (a * w**2).sum().item() for rho in (0.1, 0.4)]
    for value, se, truth in zip(found.value, found.se, expected, strict=True):
        assert 0 < se < 0.05 * truth
        assert abs(value - truth) < 4 * se
    assert found == average_sharpness(losses, {"w": w}, [0.1, 0.4], seed=1)


def test_the_published_number_of_steps_and_draws_is_taken_where_none_is_given() -> None:
    w = torch.tensor([1.0, -2.0], dtype=torch.float64)
    taken = []

    def loss(p: Mapping[str, Tensor]) -> Tensor:
        taken.append(p["w"])
        return p["w"].square().sum()

    sharpness([loss], {"w": w}, [0.1])
    assert len(taken) == 1 + 20  # at rest, and after each step
    taken.clear()
    found = average_sharpness([loss] * 2, {"w": w}, [0.1, 0.2])
    assert len(taken) == 2 * (1 + 20 * 2 * 2)  # of each batch and draw both signs and radii
    rises = [5 + value for value in found.value]
    assert found.disturbed == pytest.approx(rises)
    assert found == average_sharpness([loss] * 2, {"w": w}, [0.1, 0.2], draws=20, seed=0)
