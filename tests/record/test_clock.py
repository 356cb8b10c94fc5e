"""The step of a pass, just before and just after an update is made of its passes."""

import numpy as np
import pytest
import torch

from trajlab.record.loop.clock import Clock


class Loop:
    """What a clock reports to; it has to live as long as the clock is asked."""

    def __init__(self, optimizer: torch.optim.Optimizer | None) -> None:
        self.updates: list[int] = []
        self.clock = Clock(optimizer, self.shared, self.updated)

    def shared(self) -> list[torch.Tensor]:
        return []

    def updated(self) -> None:
        self.updates.append(self.clock.step)


@pytest.fixture
def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.25)


def test_passes_are_micro_steps_until_the_optimizer_steps(optimizer: torch.optim.Optimizer) -> None:
    loop = Loop(optimizer)
    clock = loop.clock
    for micro_step in range(2):
        assert clock.begins() == (micro_step == 0)
        clock.begin_pass()
        assert (clock.step, clock.micro_step, clock.first) == (0, micro_step, micro_step == 0)
        clock.end_pass(2)
    # before the update is made: of two passes both are there, of three one is left
    assert [clock.next_step(passes) for passes in (1, 2, 3)] == [1, 1, 0]
    optimizer.step()
    assert [clock.next_step(passes) for passes in (1, 2)] == [1, 1]
    clock.begin_pass()
    assert (clock.step, clock.micro_step, clock.first) == (1, 0, True)
    assert loop.updates == [0]
    assert clock.learning_rate == 0.25
    clock.stop()


def test_without_an_optimizer_each_pass_is_a_step() -> None:
    loop = Loop(None)
    for step in range(3):
        loop.clock.begin_pass()
        assert (loop.clock.step, loop.clock.micro_step) == (step, 0)
        loop.clock.end_pass()
        assert loop.clock.next_step() == step + 1
    assert loop.updates == [0, 1, 2]
    assert np.isnan(loop.clock.learning_rate)


def test_an_epoch_ends_with_the_first_evaluation_after_training() -> None:
    clock = Loop(None).clock
    clock.evaluated()  # before training
    assert (clock.epoch, clock.boundary) == (0, 0)
    clock.begin_pass()
    clock.end_pass()
    for _ in range(2):  # on two splits
        clock.evaluated()
    assert (clock.epoch, clock.boundary) == (1, 1)
    clock.set_epoch(7)
    clock.begin_pass()
    clock.end_pass()
    clock.evaluated()
    assert (clock.epoch, clock.boundary) == (7, 2)
