"""Affinity of tasks in closed form."""

import pytest
import torch

from trajlab.measure.affinity import task_affinity


def test_losses_may_hold_gradients() -> None:
    w = torch.nn.Parameter(torch.tensor([2.0], dtype=torch.float64))

    def losses(p: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        x = torch.ones(1, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad((p["w"] * x**2).sum(), x, create_graph=True)
        return [slope.sum()]  # 2 w

    found = task_affinity(losses, {"w": w}, learning_rate=0.1)
    assert found.item() == pytest.approx(1 - 3.6 / 4)


def test_affinity_of_quadratics_in_closed_form() -> None:
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    before = w.detach().clone()

    def losses(p: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        v = p["w"]
        return [0.5 * v[0] ** 2, 0.5 * (v[0] + v[1]) ** 2, torch.zeros((), dtype=torch.float64)]

    found = task_affinity(losses, {"w": w}, learning_rate=0.1)
    # a step on task 0: w0 = .9; on task 1: (.7, 1.7)
    assert found[0, 0].item() == pytest.approx(1 - 0.81)
    assert found[0, 1].item() == pytest.approx(1 - 2.9**2 / 9)
    assert found[1, 0].item() == pytest.approx(1 - 0.49)
    assert found[1, 1].item() == pytest.approx(1 - 2.4**2 / 9)
    assert found[2, 0].item() == 0.0
    assert found[:, 2].isnan().all()
    assert torch.equal(w, before)
    assert w.grad is None


def test_a_loss_that_rises_from_zero_has_no_share_of_it() -> None:
    w = torch.tensor([1.0], dtype=torch.float64)

    def losses(p: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        return [p["w"][0] ** 2, (p["w"][0] - 1) ** 2]  # the second is at its minimum

    found = task_affinity(losses, {"w": w}, learning_rate=0.1)
    assert found[:, 1].isnan().all()
    assert found[1, 0] == 0
    assert found[0, 0].item() == pytest.approx(1 - 0.64)
