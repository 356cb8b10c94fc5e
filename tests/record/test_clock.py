"""The step of a pass, just before and just after an update is made of its passes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import TwoHeads
from tests.record.loops import batches, losses, recorder
from trajlab import probes
from trajlab.measure.gram.task_gram import task_gram
from trajlab.record.loop.clock import Clock
from trajlab.store import Trajectory


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


def test_optimizer_advances_the_step_and_passes_are_micro_steps(
    path: Path, model: TwoHeads
) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with recorder(
        path, model, shared=model.trunk, optimizer=optimizer, probes=[probes.TaskGradients()]
    ) as r:
        expected = []
        for i, batch in enumerate(batches(6)):
            values = losses(model, batch)
            if i % 3 == 0:  # gradients are those of a step's first pass
                expected.append(
                    task_gram(list(values.values()), dict(model.trunk.named_parameters())).gram
                )
            r.backward(values)
            if i % 3 == 2:
                optimizer.step()
                optimizer.zero_grad()
        assert r.step == 2
    run = Trajectory(path)
    assert np.allclose(run.table("gradients")["gram"], torch.stack(expected), rtol=1e-4)
    assert run.table("losses")["step"].tolist() == [0, 0, 0, 1, 1, 1]
    assert run.table("losses")["micro_step"].tolist() == [0, 1, 2, 0, 1, 2]
    assert run.table("gradients")["step"].tolist() == [0, 1]


def test_closed_recorder_watches_the_optimizer_no_more(path: Path, model: TwoHeads) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with recorder(path, model, shared=model.trunk, optimizer=optimizer) as r:
        pass
    optimizer.step()
    assert r.step == 0


def test_observed_steps_may_be_given(path: Path, model: TwoHeads) -> None:
    with recorder(path, model, shared=model.trunk) as r:
        for step in (0, 10, 10, 20):
            r.observe(losses(model, batches(1)[0]), step=step)
        assert r.step == 21
    table = Trajectory(path).table("losses")
    assert table["step"].tolist() == [0, 10, 10, 20]
    assert table["micro_step"].tolist() == [0, 0, 1, 0]


def test_epochs_are_counted_at_evaluations(path: Path, model: TwoHeads) -> None:
    value = {"left": {"loss": 1.0}}
    with recorder(
        path, model, shared=model.trunk, probes=[probes.TaskGradients(every="epoch")]
    ) as r:
        r.evaluate("train", value)
        for _ in range(3):
            for batch in batches(2):
                r.backward(losses(model, batch))
            r.evaluate("train", value)
            r.evaluate("test", value)
        r.epoch = 17
        r.backward(losses(model, batches(1)[0]))
        r.evaluate("train", value)
    run = Trajectory(path)
    train = run.table("evaluations/train")
    assert train["step"].tolist() == [0, 2, 4, 6, 7]
    assert train["epoch"].tolist() == [0, 1, 2, 3, 17]
    assert run.table("evaluations/test")["epoch"].tolist() == [1, 2, 3]
    assert run.table("losses")["epoch"].tolist() == [0, 0, 1, 1, 2, 2, 17]
    # on the graph of the first batch after the boundary: the evaluated weights
    assert run.table("gradients")["step"].tolist() == [0, 2, 4, 6]
