"""The step of a pass, just before and just after an update is made of its passes."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.models import TwoHeads
from tests.record.loops import batches, losses, recorder
from tests.runs import write
from trajlab import probes
from trajlab.measure.gram.task_gram import task_gram
from trajlab.record.loop.clock import Clock
from trajlab.store import Trajectory, standard


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


@pytest.mark.parametrize("accumulate", [1, 2])
def test_what_is_shared_is_looked_up_at_the_first_pass_of_an_update_that_is_measured(
    path: Path, model: TwoHeads, accumulate: int
) -> None:
    """By the step that is given; a layer is frozen before, between and after."""
    batch = batches(1)[0]
    first, second = model.trunk[0], model.trunk[2]
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients([0, 7, 9])]) as r:
        for step, frozen in ((0, None), (3, first), (7, None), (8, second), (9, None)):
            for micro_step in range(accumulate):
                if frozen is not None:
                    frozen.requires_grad_(False)
                elif step == 7 and micro_step == 1:
                    first.requires_grad_(True)
                r.observe(losses(model, batch), step=step, accumulate=accumulate)
    run = Trajectory(path)
    table = run.table("shared_parameters")
    names = {layer: f"trunk.{layer}.weight, trunk.{layer}.bias" for layer in (0, 2)}
    assert table["step"].tolist() == [7, 9]
    assert table["removed"].tolist() == [names[0], names[2]]
    assert table["added"].tolist() == ["", names[0] if accumulate == 2 else ""]
    measured = run.table("gradients")
    assert measured["step"].tolist() == [0, 7, 9]


def test_the_wall_time_is_what_has_passed_since_the_run_was_created(
    path: Path, model: TwoHeads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a session that goes on with it a day later."""
    now: list[datetime] = []
    begun = SimpleNamespace(now=lambda zone: now[-1].astimezone(zone))
    clock = SimpleNamespace(time=lambda: now[-1].timestamp() + 12.5)
    monkeypatch.setattr("trajlab.store.header.datetime", begun)
    monkeypatch.setattr("trajlab.record.loop.loop.time", clock)
    for day in (1, 2):
        now.append(datetime(2026, 3, day, tzinfo=UTC))
        with recorder(path, model, shared=model.trunk, resume=True) as r:
            r.observe(losses(model, batches(1)[0]))
    assert Trajectory(path).table("losses")["wall_time"].tolist() == [12.5, 86412.5]


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


def recorded_run(path: Path) -> Trajectory:
    """Two updates of two passes each, then evaluations of the weights after 2, 3 and 4."""
    tables = [standard(name, task=["a"]).only(*own) for name, own in COLUMNS.items()]
    training = [{"losses": {"step": step, "micro_step": m}} for step in (2, 3) for m in (0, 1)]
    split = "evaluations/test"
    epochs = [{split: {"step": step, "epoch": epoch}} for step, epoch in ((2, 5), (3, 6), (4, 9))]
    return Trajectory(write(path, ["a"], tables, [*training, *epochs], close=True))


COLUMNS = {"losses": ["micro_step"], "evaluations/train": ["epoch"], "evaluations/test": ["epoch"]}


@pytest.mark.parametrize(
    ("from_step", "step", "epoch"), [(None, 4, 9), (4, 4, 9), (3, 3, 6), (2, 2, 5), (1, 1, 0)]
)
def test_a_resumed_clock_knows_the_epochs_up_to_its_step(
    path: Path, from_step: int | None, step: int, epoch: int
) -> None:
    """An evaluation after as many updates counts; later ones are superseded."""
    clock = Loop(None).clock
    clock.resume(recorded_run(path), from_step)
    assert (clock.step, clock.epoch, clock.begun) == (step, epoch, True)


def test_a_run_that_recorded_nothing_is_resumed_from_the_first_step(path: Path) -> None:
    clock = Loop(None).clock
    clock.resume(Trajectory(write(path, ["a"], [], [])), None)
    assert (clock.step, clock.epoch) == (0, 0)


def test_a_checkpoint_s_counts_go_on(caplog: pytest.LogCaptureFixture) -> None:
    clock = Loop(None).clock
    clock.load_state_dict({"step": 7, "epoch": 3})
    assert clock.state_dict() == {"step": 7, "epoch": 3}
    clock.begin_pass()
    assert (clock.step, clock.micro_step, clock.first) == (7, 0, True)
    assert not caplog.records  # that each pass is a step was said where the run began
    Loop(None).clock.begin_pass(0)
    assert not caplog.records  # nor where the loop gives the step
    Loop(None).clock.begin_pass()
    assert "counts every backward pass as one step" in caplog.text


def test_a_count_that_is_corrected_or_retried_waits_for_no_update(
    optimizer: torch.optim.Optimizer,
) -> None:
    loop = Loop(optimizer)
    clock = loop.clock
    for _ in range(2):
        clock.begin_pass()
        clock.end_pass(3)
    assert clock.waiting == 2
    clock.evaluated(0)  # where it is anyway
    assert (clock.step, clock.waiting, clock.begins(), clock.begins(0)) == (0, 2, False, False)
    clock.retry()  # the update was skipped
    assert (clock.waiting, clock.begins(), clock.begins(0)) == (0, True, True)
    clock.begin_pass()
    assert (clock.step, clock.micro_step, clock.first, clock.waiting) == (0, 2, True, 1)
    clock.begin_pass()
    assert (clock.micro_step, clock.first) == (3, False)
    clock.evaluated(5)
    assert (clock.step, clock.waiting, clock.begins()) == (5, 0, True)
    clock.begin_pass(5)
    assert (clock.step, clock.micro_step, clock.first) == (5, 0, True)
    assert (clock.begins(5), clock.begins(6)) == (False, True)
    clock.stop()
    assert Loop(None).clock.waiting == 0


def test_passes_without_an_optimizer_can_make_an_update_together() -> None:
    loop = Loop(None)
    for step in range(2):
        for micro_step in range(3):
            assert loop.clock.next_step(3) == step
            loop.clock.begin_pass()
            assert (loop.clock.step, loop.clock.micro_step) == (step, micro_step)
            loop.clock.end_pass(3)
    assert loop.updates == [0, 1]


def test_updates_are_missed_once_many_times_what_made_one_have_passed(
    optimizer: torch.optim.Optimizer, caplog: pytest.LogCaptureFixture
) -> None:
    """A hundred times as many passes as an update was made of, at most so far: three, not two."""
    loop = Loop(optimizer)
    for passes in (3, 2):
        loop.clock.begin_pass()
        loop.clock.end_pass(passes)
    for _ in range(298):
        loop.clock.begin_pass()
    assert not caplog.records
    for _ in range(2):
        loop.clock.begin_pass()
    (told,) = caplog.messages
    assert "has seen 301 backward passes and no update" in told
    loop.clock.stop()
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("passes", [2, 3])
def test_passes_that_are_left_at_the_end_are_told_if_they_would_have_made_an_update(
    optimizer: torch.optim.Optimizer, passes: int, caplog: pytest.LogCaptureFixture
) -> None:
    loop = Loop(optimizer)
    for _ in range(passes):
        loop.clock.begin_pass()
        loop.clock.end_pass(2)
    loop.clock.stop()
    assert ("no update" in caplog.text) == (passes > 2)
