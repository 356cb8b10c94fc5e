"""What a framework's callback makes of evaluation batches, and what is mirrored, without either."""

import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, losses
from trajlab import Recorder, TrajlabError
from trajlab.record.failures import Failures
from trajlab.record.integrations.session import Session
from trajlab.record.sinks import Mirror, Sink, WandB
from trajlab.store import Column, Table, Trajectory, standard


def begun(path: Path, model: TwoHeads, sample: int | None = None) -> Session:
    session = Session(path, TASKS, {"shared": model.trunk}, sample)
    session.begin(model, torch.optim.SGD(model.parameters(), 0.1), None, 0, False)
    return session


def test_losses_of_evaluation_batches_are_means_over_examples(path: Path, model: TwoHeads) -> None:
    session = begun(path, model)
    session.observe(losses(model, batches(1)[0]), {"left": 0.5, "right": 2.0}, 0, 0, 1)
    session.collect({"left": torch.tensor(1.0), "right": torch.tensor(4.0)}, 3)
    session.collect({"left": torch.tensor(2.0), "right": None}, 1)
    session.collect({"left": torch.tensor(9.0)}, 5, loader=1)
    session.evaluate("test", {"left_accuracy": 0.5, "other": 3.0}, 1, 7)
    session.evaluate("validation", {}, 1, 7, loader=1)
    session.collect({"left": torch.tensor(9.0)}, 5)
    session.forget()
    session.evaluate("train", {"right_accuracy": 0.25}, 1, 7)
    session.end()
    run = Trajectory(path)
    assert run.table("losses")["weight"].tolist() == [[0.5, 2.0]]
    for split, name, wanted in (
        ("test", "loss", [(3 * 1 + 2) / 4, 4]),
        ("test", "accuracy", [0.5, np.nan]),
        ("validation", "loss", [9, np.nan]),
        ("train", "accuracy", [np.nan, 0.25]),
        ("train", "loss", [np.nan, np.nan]),
    ):
        table = run.table(f"evaluations/{split}")
        np.testing.assert_array_equal(table[name], [wanted])
        assert (table["step"].tolist(), table["epoch"].tolist()) == ([1], [7])
    assert "loss_se" not in run.table("evaluations/test")


def test_a_file_that_cannot_be_written_or_sealed_is_told_and_ends_no_training(
    path: Path,
    model: TwoHeads,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("the disk is full")

    session = begun(path, model)
    with monkeypatch.context() as broken:
        broken.setattr(Recorder, "flush", refuse)
        broken.setattr(Recorder, "close", refuse)
        session.flush()
        session.end()
    written, sealed, *_ = (record.getMessage() for record in caplog.records)
    assert f"write {path}" in written
    assert "its rows are kept in memory" in written
    assert f"seal {path}" in sealed
    assert "`trajlab merge` seals it" in sealed
    assert "the disk is full" in sealed


@pytest.mark.parametrize(("size", "left_out"), [(4, 0.75), (16, 0.0), (99, 0.0)])
def test_a_sample_of_the_training_set_has_the_error_of_what_it_leaves_out(
    path: Path, model: TwoHeads, size: int, left_out: float
) -> None:
    session = begun(path, model, size)
    assert session.sample is not None
    session.sample.draw(DataLoader(TensorDataset(torch.arange(16)), batch_size=2))
    seen: list[int] = []

    def compute(batch: Any, number: int) -> None:
        assert session.sampling
        seen.extend(batch[0].tolist())
        value = torch.tensor(1.0 if number % 2 else 3.0)
        session.collect({"left": value, "right": value}, len(batch[0]), loader=5)

    for _ in range(2):  # once at a step
        session.evaluate_sample(model, compute, 0, 0)
    assert len(set(seen)) == len(seen) == min(size, 16)
    session.end()
    table = Trajectory(path).table("evaluations/train")
    number = min(size, 16) // 2  # of batches, whose losses deviate from 2 by 1
    error = math.sqrt(left_out / (number - 1))
    assert table["loss"].tolist() == [[2.0, 2.0]]
    assert table["loss_se"].tolist() == [pytest.approx([error, error])]
    told = {"sample_size": min(size, 16), "sample_of": 16, "sample_seed": 0}
    assert told.items() <= table.attributes.items()


def test_a_sample_that_cannot_be_evaluated_is_left_out_and_tried_at_the_next_step(
    path: Path, model: TwoHeads, caplog: pytest.LogCaptureFixture
) -> None:
    session = begun(path, model, 4)
    assert session.sample is not None
    session.sample.draw(DataLoader(TensorDataset(torch.arange(16)), batch_size=4))
    tried: list[int] = []

    def compute(step: int, loss: float) -> Any:
        def computed(batch: Any, number: int) -> None:
            tried.append(step)
            session.collect({"left": torch.tensor(loss)}, 4)
            if step == 0:
                raise RuntimeError("no room")

        return computed

    session.collect({"left": torch.tensor(9.0)}, 2)  # of another evaluation
    for step in (0, 0, 1):
        session.evaluate_sample(model, compute(step, step + 1.0), step, 0)
        assert not session.sampling
    session.evaluate("test", {}, 1, 0)
    session.end()
    assert tried == [0, 1]
    assert "could not evaluate the training sample: RuntimeError: no room" in caplog.text
    run = Trajectory(path)
    table = run.table("evaluations/train")
    assert (table["step"].tolist(), table["loss"][:, 0].tolist()) == ([1], [2.0])
    assert "loss_se" not in table  # a single batch has none
    assert run.table("evaluations/test")["loss"][:, 0].tolist() == [9.0]


def trained(session: Session, model: TwoHeads, step: int, resume: bool, steps: int = 2) -> None:
    """Begin at a step, and observe so many from there."""
    session.begin(model, torch.optim.SGD(model.parameters(), 0.1), None, step, resume)
    for at in range(step, step + steps):
        session.observe(losses(model, batches(1)[0]), None, at, 0, 1)


def recorded(file: Path) -> tuple[str, list[int]]:
    run = Trajectory(file)
    return run.status, run.table("losses")["step"].tolist()


def test_a_training_goes_on_in_its_file_or_has_one_of_its_own(
    path: Path, model: TwoHeads, caplog: pytest.LogCaptureFixture
) -> None:
    other = path.with_name("run-2.h5")
    session = Session(path, TASKS, {"shared": model.trunk})
    trained(session, model, 0, False)
    session.end("recording")
    assert recorded(path) == ("recording", [0, 1])
    trained(session, model, 0, False, 1)  # an attempt that did not end is superseded
    assert "supersedes what" in caplog.text
    caplog.clear()
    session.end()
    assert recorded(path) == ("complete", [0])
    trained(session, model, 1, False)  # a trainer that goes on
    session.end()
    assert (recorded(path), session.file) == (("complete", [0, 1, 2]), path)
    trained(session, model, 0, False)  # one that begins anew after one that ended
    session.end()
    assert f"keeps {path}, and records this training in {other}" in caplog.text
    assert (recorded(path), recorded(other)) == (("complete", [0, 1, 2]), ("complete", [0, 1]))
    trained(session, model, 1, True)
    session.end()
    assert recorded(other) == ("complete", [0, 1, 2])
    trained(session, model, 0, True)  # from a checkpoint of the first step
    session.end()
    assert recorded(other) == ("complete", [0, 1])
    later = Session(path, TASKS, {"shared": model.trunk})
    with pytest.raises(TrajlabError, match=r"run\.h5 exists, and this training begins anew"):
        trained(later, model, 0, False)
    caplog.clear()
    trained(later, model, 2, True)  # from a checkpoint: nothing to say
    assert caplog.text == ""
    one_more = Session(path, TASKS, {"shared": model.trunk})
    trained(one_more, model, 3, False)  # the other one did not end
    one_more.end()
    assert recorded(path) == ("complete", [0, 1, 2, 3, 4])
    trained(later, model, 0, False)  # its attempt did not end
    later.end()
    assert recorded(path) == ("complete", [0, 1])


def test_an_evaluation_after_training_opens_the_file_for_its_row(
    path: Path, model: TwoHeads, caplog: pytest.LogCaptureFixture
) -> None:
    session = Session(path, TASKS, {"shared": model.trunk})
    session.evaluate("test", {"left_f1": 0.5}, 0, 0)  # training has not begun
    assert not path.exists()
    assert caplog.text == ""
    session.collect({"left": torch.tensor(9.0)}, 2)  # as Lightning does to try what it was given
    trained(session, model, 0, False, 3)
    session.evaluate("train", {"f1": 0.5}, 3, 1)  # nothing of a task
    session.end()
    for _ in range(2):
        session.evaluate("dev", {"left_f1": 0.5}, 3, 1)
    assert caplog.text.count("could not record an evaluation on 'dev'") == 1
    session.evaluate("test", {"left_f1": 0.5, "right/f1": 0.75, "leftover_f1": 1.0}, 3, 1)
    assert recorded(path) == ("complete", [0, 1, 2])
    assert "evaluations/train" not in Trajectory(path).tables
    table = Trajectory(path).table("evaluations/test")
    assert (table["step"].tolist(), table["epoch"].tolist()) == ([3], [1])
    assert table["f1"].tolist() == [[0.5, 0.75]]
    assert np.isnan(table["loss"]).all()
    assert {"ver_f1", "over_f1"}.isdisjoint(table)


def test_a_step_without_losses_is_told_in_each_training_anew(path: Path, model: TwoHeads) -> None:
    session = Session(path, TASKS, {"shared": model.trunk})
    session.check_observed("training_step")  # no training yet
    for step in (0, 2):
        trained(session, model, step, step > 0, 0)
        with pytest.raises(TrajlabError, match="trained, but training_step did not call trajlab's"):
            session.check_observed("training_step")
        session.observe(losses(model, batches(1)[0]), None, step, 0, 1)
        session.check_observed("training_step")
        session.end("recording")


def test_what_comes_from_the_trainer_is_not_given(path: Path) -> None:
    for name in ("optimizer", "scaler", "resume", "from_step"):
        with pytest.raises(TrajlabError, match=f"{name}= comes from the trainer; leave it out"):
            Session(path, TASKS, {name: None})


class Kept(Sink):
    """Keeps what it is given, up to a step at which it fails."""

    def __init__(self, fails: int = 99) -> None:
        self.fails = fails
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.closed = False

    def write(self, step: int, values: Mapping[str, float]) -> None:
        if step >= self.fails:
            raise OSError("no network")
        self.rows.append((step, dict(values)))

    def close(self) -> None:
        self.closed = True


def test_a_mirror_has_each_number_by_name_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    one, other = Kept(), Kept(fails=2)
    mirror = Mirror([one, other], Failures())
    columns = (
        Column("alone"),
        Column("each", ("step", "task")),
        Column("matrix", ("step", "task", "other_task")),
        Column("why", dtype="str"),
        Column("wall_time"),
    )
    mirror.declare(Table("own", columns, {"task": TASKS, "other_task": TASKS}))
    mirror.declare(standard("gradients", task=[*TASKS, "top"], layer=["a", "b"]))
    mirror.declare(standard("evaluations/test", task=TASKS))
    mirror.declare(standard("losses", task=TASKS))
    mirror.append(
        "own",
        {
            "step": 1,
            "alone": torch.tensor(2.0),
            "each": [3.0, math.nan],
            "matrix": np.ones((2, 2)),
            "why": "text",
            "wall_time": 5.0,
        },
    )
    # summed over layers: norms 5, 2 and 0, the product of the first two 6
    gram = np.zeros((2, 3, 3))
    gram[:, 0, 0], gram[:, 1, 1], gram[:, 0, 1] = (20, 5), (1, 3), (2, 4)
    mirror.append("gradients", {"step": 2, "gram": gram})
    mirror.append("evaluations/test", {"step": 3, "loss": [0.5, 0.25], "epoch": 1})
    counted = {"step": 4, "micro_step": 1, "wall_time": 5.0, "epoch": 1}
    mirror.append("losses", {**counted, "loss": [1.0, math.inf], "learning_rate": 0.0})
    mirror.close()
    assert one.rows == [
        (1, {"own/alone": 2.0, "own/left/each": 3.0}),
        (2, {"gradients/left-right/cosine": pytest.approx(6 / (5 * 2))}),
        (3, {"test/left/loss": 0.5, "test/right/loss": 0.25}),
        (4, {"losses/left/loss": 1.0, "losses/right/loss": math.inf, "losses/learning_rate": 0.0}),
    ]
    assert one.closed
    assert [step for step, _ in other.rows] == [1]
    assert not other.closed
    assert "could not write to Kept: OSError: no network" in caplog.text
    assert "this sink gets no more; the trajectory file goes on" in caplog.text


def test_a_sink_is_closed_with_the_recorder_once_it_has_every_row(
    path: Path, model: TwoHeads
) -> None:
    kept = Kept()
    with Recorder(path, model, tasks=TASKS, shared=model.trunk, sinks=[kept]) as recorder:
        recorder.backward(losses(model, batches(1)[0]))
        assert not kept.closed
    assert kept.closed
    assert [step for step, _ in kept.rows] == [0]


def test_weights_and_biases_counts_by_our_steps() -> None:
    calls: list[Any] = []
    run = SimpleNamespace(
        define_metric=lambda *names, **how: calls.append((names, how)), log=calls.append
    )
    sink = WandB(run)
    sink.write(7, {"test/left/loss": 0.5})
    sink.close()
    assert calls == [
        (("*",), {"step_metric": "trajlab_step"}),
        {"trajlab_step": 7, "test/left/loss": 0.5},
    ]
