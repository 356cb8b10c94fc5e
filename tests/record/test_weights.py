"""Losses and their weights, as a loop hands them over."""

import pytest
import torch

from trajlab import TrajlabError
from trajlab.record.loop.losses import present_losses, weighted_sum

TASKS = ("left", "right")
LOSSES = {"left": torch.tensor([2.0], requires_grad=True), "right": torch.tensor(3.0)}


def test_the_sum_has_each_weight_once() -> None:
    assert weighted_sum(LOSSES, {"left": 0.5, "right": torch.tensor(4.0)}) == 13
    assert weighted_sum(LOSSES, None) == 5
    assert weighted_sum({**LOSSES, "left": None}, {"right": 2.0}) == 6
    with pytest.raises(TrajlabError, match="no task has a loss"):
        weighted_sum({"left": None}, None)


def test_every_loss_needs_a_weight_and_a_task_without_a_loss_none() -> None:
    with pytest.raises(TrajlabError, match="weights lack task 'right'"):
        present_losses(LOSSES, {"left": 1.0}, TASKS)
    present = present_losses({**LOSSES, "right": None}, {"left": 1.0}, TASKS)
    assert {task: loss.shape for task, loss in present.items()} == {"left": ()}
    assert present_losses(LOSSES, {"left": 1.0, "right": 0.0}, TASKS).keys() == LOSSES.keys()
    assert present_losses(LOSSES, None, TASKS).keys() == LOSSES.keys()


def test_losses_that_need_no_gradient_are_refused() -> None:
    with pytest.raises(TrajlabError, match="need no gradient"):
        present_losses({"right": LOSSES["right"]}, None, TASKS)
    assert present_losses(LOSSES, None, TASKS)["left"].requires_grad  # one of them is enough
