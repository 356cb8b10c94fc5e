"""Steps are the updates of the shared parameters, whichever optimizer makes them."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, losses, recorder_of
from trajlab import Recorder, TrajlabError, probes
from trajlab.store import Trajectory

BATCHES = batches(6)


def record(path: Path, model: TwoHeads, optimizer: object, update: Callable[[int], None]) -> None:
    """Train with the update that is given, and evaluate after each."""
    with recorder_of(path, model, optimizer, probes.TaskGradients()) as recorder:
        for step, batch in enumerate(BATCHES):
            recorder.backward(losses(model, batch))
            update(step)
            model.zero_grad()
            recorder.evaluate("test", {task: {"loss": float(step)} for task in TASKS})


def assert_counted(path: Path) -> Trajectory:
    run = Trajectory(path)
    assert run.table("losses")["step"].tolist() == list(range(6))
    assert run.table("gradients")["step"].tolist() == list(range(6))
    assert run.table("evaluations/test")["step"].tolist() == list(range(1, 7))
    return run


class Sharp(Optimizer):
    """Ascends, descends from there by an optimizer inside, and never calls its own step."""

    def __init__(self, parameters: object, base: type[Optimizer] | None) -> None:
        super().__init__(parameters, {"lr": 0.1})
        self.base = base(self.param_groups, lr=0.1) if base else None

    def first_step(self) -> None:
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                self.state[p]["ascent"] = 0.01 * p.grad
                p += self.state[p]["ascent"]

    def second_step(self) -> None:
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p -= self.state[p]["ascent"]
                if self.base is None:
                    p -= 0.1 * p.grad
        if self.base is not None:
            self.base.step()


class Average:
    """No optimizer, but holds one, and averages the weights after each of its steps."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.wrapped = optimizer
        self.mean = [p.detach().clone() for p in optimizer.param_groups[0]["params"]]

    def step(self) -> None:
        self.wrapped.step()
        for mean, p in zip(self.mean, self.wrapped.param_groups[0]["params"], strict=True):
            mean.lerp_(p.detach(), 0.1)


class Outer(Optimizer):
    """An optimizer whose own step calls another one's: both have torch's hooks."""

    def __init__(self, inner: Optimizer) -> None:
        super().__init__(inner.param_groups, {})
        self.inner = inner

    def step(self) -> None:
        self.inner.step()


def test_an_optimizer_made_anew_goes_on_counting(
    model: TwoHeads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    current = [SGD(model.parameters(), 0.1)]

    def update(step: int) -> None:
        if step == 2:
            current[0] = Adam(model.trunk.parameters(), 0.01)
        current[0].step()

    record(tmp_path / "run.h5", model, current[0], update)
    run = assert_counted(tmp_path / "run.h5")
    assert run.table("losses")["learning_rate"].tolist() == [0.1] * 2 + [0.01] * 4
    assert sum("another Adam" in message for message in caplog.messages) == 1


def test_optimizers_in_turn_each_make_a_step(model: TwoHeads, tmp_path: Path) -> None:
    turns = [SGD(model.parameters(), 0.1), Adam(model.parameters())]
    record(tmp_path / "run.h5", model, turns[0], lambda step: turns[step % 2].step())
    run = assert_counted(tmp_path / "run.h5")
    assert run.table("losses")["learning_rate"].tolist() == [0.1, 0.001] * 3


@pytest.mark.parametrize("given", [0, 1])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_several_optimizers_make_one_step_a_pass(
    model: TwoHeads, tmp_path: Path, given: int, order: tuple[int, int]
) -> None:
    heads = nn.ModuleList([model.left, model.right])
    both = [SGD(model.trunk.parameters(), 0.1), SGD(heads.parameters(), 0.2)]

    def update(step: int) -> None:
        for position in order:
            both[position].step()

    record(tmp_path / "run.h5", model, both[given], update)
    assert_counted(tmp_path / "run.h5")


def test_another_models_optimizer_moves_nothing(model: TwoHeads, tmp_path: Path) -> None:
    optimizer, other = SGD(model.parameters(), 0.1), SGD(TwoHeads().parameters(), 0.1)

    def update(step: int) -> None:
        other.step(), optimizer.step(), other.step()

    record(tmp_path / "run.h5", model, optimizer, update)
    assert_counted(tmp_path / "run.h5")


def test_wrappers_without_a_step_hook(
    model: TwoHeads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sharp = Sharp(model.parameters(), SGD)
    record(tmp_path / "sharp.h5", model, sharp, lambda _: (sharp.first_step(), sharp.second_step()))
    assert_counted(tmp_path / "sharp.h5")
    assert not caplog.messages
    for kind in (Average, Outer):
        wrapper = kind(SGD(model.parameters(), 0.3))
        path = tmp_path / f"{kind.__name__}.h5"
        record(path, model, wrapper, lambda _, wrapper=wrapper: wrapper.step())
        assert set(assert_counted(path).table("losses")["learning_rate"]) == {0.3}


class Several:
    """No optimizer, but steps those that it has in a list or a mapping."""

    def __init__(self, optimizers: object) -> None:
        self.each = optimizers

    def step(self) -> None:
        for optimizer in self.each.values() if isinstance(self.each, dict) else self.each:
            optimizer.step()


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("kind", [list, dict])
def test_wrappers_of_several_optimizers(
    model: TwoHeads, tmp_path: Path, kind: type, order: int, caplog: pytest.LogCaptureFixture
) -> None:
    heads = [*model.left.parameters(), *model.right.parameters()]
    both = [SGD(model.trunk.parameters(), 0.3), Adam(heads, 0.3)][:: -1 if order else 1]
    wrapper = Several(both if kind is list else dict(enumerate(both)))
    record(tmp_path / "run.h5", model, wrapper, lambda _: wrapper.step())
    assert_counted(tmp_path / "run.h5")
    assert not caplog.messages


@pytest.mark.parametrize("own_backward", [False, True])
def test_optimizers_within_the_backward_pass(
    tmp_path: Path, own_backward: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def train(path: Path | None) -> TwoHeads:
        model = TwoHeads()
        optimizers = {p: SGD([p], 0.1) for p in model.parameters()}

        def update(p: nn.Parameter) -> None:
            optimizers[p].step()
            optimizers[p].zero_grad()

        for p in optimizers:
            p.register_post_accumulate_grad_hook(update)
        optimizer, probe = optimizers[model.left.weight], probes.TaskGradients(update=True)
        recorder = path and recorder_of(path, model, optimizer, probe)
        for batch in BATCHES:
            values = losses(model, batch)
            if recorder and not own_backward:
                recorder.backward(values)
            else:
                if recorder:
                    recorder.observe(values)
                (values["left"] + values["right"]).backward()
        if recorder:
            assert recorder.step == 6
            recorder.close()
        return model

    recorded, plain = train(tmp_path / "run.h5"), train(None)
    assert all(
        torch.equal(a, b) for a, b in zip(recorded.parameters(), plain.parameters(), strict=True)
    )
    table = Trajectory(tmp_path / "run.h5").table("gradients")
    assert table["step"].tolist() == list(range(6))
    assert np.isfinite(table["gram"]).all()
    assert np.isnan(table["update_norm"]).all()
    assert sum("within the backward pass" in message for message in caplog.messages) == 1


def test_line_searches_are_one_step(model: TwoHeads, tmp_path: Path) -> None:
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)
    with recorder_of(tmp_path / "run.h5", model, optimizer) as recorder:
        for batch in BATCHES[:2]:

            def closure(batch: object = batch) -> float:
                model.zero_grad()
                values = losses(model, batch)
                recorder.backward(values)
                return float(values["left"].detach() + values["right"].detach())

            optimizer.step(closure)
        assert recorder.step == 2


def test_an_optimizer_that_never_steps_is_told_at_once_and_at_the_end(
    model: TwoHeads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sharp = Sharp(model.parameters(), None)
    record(tmp_path / "run.h5", model, sharp, lambda _: (sharp.first_step(), sharp.second_step()))
    evaluations = [m for m in caplog.messages if "takes the place" in m]
    (end,) = [m for m in caplog.messages if "no update" in m]
    assert len(evaluations) == 1
    assert "2 backward passes" in evaluations[0]
    assert "6 backward passes" in end
    assert all("pass optimizer=" in message for message in [*evaluations, end])


def test_accumulation_is_no_missing_update(
    model: TwoHeads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    optimizer = SGD(model.parameters(), 0.1)
    for known in (True, False):
        with recorder_of(tmp_path / f"{known}.h5", model, optimizer) as recorder:
            for number, batch in enumerate(BATCHES):
                recorder.backward(losses(model, batch), accumulate=3 if known else 1)
                if number == 2:
                    optimizer.step()
    assert not caplog.messages


def test_patience_with_passes_that_lead_to_no_update_ends(
    model: TwoHeads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = recorder_of(tmp_path / "run.h5", model, SGD(model.parameters(), 0.1))
    for _ in range(100):
        recorder.backward(losses(model, BATCHES[0]))
    assert not caplog.messages
    recorder.backward(losses(model, BATCHES[0]))
    assert "101 backward passes and no update" in caplog.text
    recorder.close()


def test_evaluations_at_one_step_are_told_unless_equal(
    model: TwoHeads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Recorder(tmp_path / "run.h5", model, tasks=TASKS, shared=model.trunk) as recorder:
        recorder.observe(losses(model, BATCHES[0]))
        values = {"left": {"loss": 1.0}, "right": {"loss": float("nan")}}
        recorder.evaluate("test", values)
        recorder.evaluate("test", values)
        recorder.evaluate("train", values)
        assert "takes the place" not in caplog.text
        recorder.evaluate("test", {"left": {"loss": 1.0}, "right": {"loss": 2.0}})
    assert "evaluation on test takes the place of another one at the same step 1" in caplog.text
    assert "one call" in caplog.text


@pytest.mark.parametrize(
    ("optimizer", "sentence"),
    [
        (lambda model: SGD(TwoHeads().parameters(), 0.1), "none of this model's parameters"),
        (lambda model: [SGD(model.parameters(), 0.1)], "is list, which is no optimizer"),
        (lambda model: Adam, "no optimizer"),
    ],
)
def test_what_updates_nothing_is_refused_before_a_file_is_made(
    model: TwoHeads, tmp_path: Path, optimizer: Callable[[TwoHeads], object], sentence: str
) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        recorder_of(tmp_path / "run.h5", model, optimizer(model))
    assert not list(tmp_path.iterdir())


def test_an_optimizer_with_copies_of_the_parameters_is_told(
    model: TwoHeads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copies = Sharp([p.detach().clone() for p in model.parameters()], None)
    with recorder_of(tmp_path / "run.h5", model, copies) as recorder:
        recorder.backward(losses(model, BATCHES[0]))
    assert "holds none of this model's parameters" in caplog.text
    assert logging.getLevelName(caplog.records[0].levelno) == "WARNING"
