"""The recorder in a training loop: what it stores, and what it leaves alone."""

import gc
import itertools
import logging
import math
import signal
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.models import TwoHeads
from trajlab import Recorder, TrajlabError, probes
from trajlab.measure.gram.task_gram import task_gram
from trajlab.store import Trajectory


def batches(n: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(n):
        yield (
            torch.randn(10, 6, generator=generator),
            torch.randint(0, 3, (10, 2), generator=generator),
        )


def losses(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    x, y = batch
    left, right = model(x)
    ce = nn.functional.cross_entropy
    return {"left": ce(left, y[:, 0]), "right": ce(right, y[:, 1])}


def one_batch() -> tuple[Tensor, Tensor]:
    return next(batches(1))


@pytest.fixture
def model() -> TwoHeads:
    return TwoHeads()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.h5"


def recorder(path: Path, model: nn.Module, **arguments: Any) -> Recorder:
    return Recorder(path, model, tasks=["left", "right"], **arguments)


def grads(model: nn.Module) -> list[Tensor]:
    return [p.grad for p in model.parameters() if p.grad is not None]


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("every", [1, 1000])
@pytest.mark.parametrize("weights", [None, {"left": 0.3, "right": -2.0}])
def test_backward_leaves_the_plain_gradient_bit_for_bit(
    path: Path, model: TwoHeads, every: int, weights: dict[str, float] | None
) -> None:
    plain = TwoHeads()
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients(every)]) as r:
        for batch in batches(3):  # the third step accumulates into the gradients of the first two
            r.backward(losses(model, batch), weights)
            w = weights or {"left": 1, "right": 1}
            sum(w[task] * loss for task, loss in losses(plain, batch).items()).backward()
    assert equal(grads(model), grads(plain))


def test_gradients_flow_into_weights(path: Path, model: TwoHeads) -> None:
    w = torch.tensor([0.5, 2.0], requires_grad=True)
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients()]) as r:
        values = losses(model, one_batch())
        r.backward(values, dict(zip(["left", "right"], w, strict=True)))
    assert torch.equal(w.grad, torch.stack([values["left"], values["right"]]).detach())
    assert Trajectory(path).table("losses")["weight"].tolist() == [[0.5, 2.0]]


def test_numbers_tensors_and_losses_of_one_element_mix(path: Path, model: TwoHeads) -> None:
    plain = TwoHeads()
    weights = {"left": 0.5, "right": torch.tensor(2)}
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients()]) as r:
        values = losses(model, one_batch())
        r.backward({"left": values["left"].reshape(1), "right": values["right"]}, weights)
    sum(weights[task] * loss for task, loss in losses(plain, one_batch()).items()).backward()
    assert equal(grads(model), grads(plain))
    table = Trajectory(path).table("losses")
    assert table["weight"].tolist() == [[0.5, 2.0]]
    assert table["loss"].tolist() == [[loss.item() for loss in values.values()]]


def test_backward_frees_the_graph(path: Path, model: TwoHeads) -> None:
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients()]) as r:
        values = losses(model, one_batch())
        r.backward(values)
        with pytest.raises(RuntimeError, match="second time"):
            values["left"].backward()


def test_observe_touches_no_gradient_and_keeps_the_graph(path: Path, model: TwoHeads) -> None:
    plain = TwoHeads()
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients()]) as r:
        values = losses(model, one_batch())
        r.observe(values)
        assert grads(model) == []
        (values["left"] * values["right"]).backward()
    values = losses(plain, one_batch())
    (values["left"] * values["right"]).backward()
    assert equal(grads(model), grads(plain))


def test_file_holds_losses_and_grams_of_each_step(path: Path, model: TwoHeads) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    expected_losses, expected_grams = [], []
    with recorder(
        path,
        model,
        shared=model.trunk,
        optimizer=optimizer,
        probes=[probes.TaskGradients(every=2)],
        metadata={"seed": 0},
    ) as r:
        for batch in batches(5):
            values = losses(model, batch)
            shared = {f"trunk.{n}": p for n, p in model.trunk.named_parameters()}
            expected_losses.append([loss.item() for loss in values.values()])
            expected_grams.append(task_gram(list(values.values()), shared).gram)
            r.backward(values)
            optimizer.step()
            optimizer.zero_grad()
    run = Trajectory(path)
    assert run.status == "complete"
    assert run.metadata == {"seed": 0}
    assert run.shared == [f"trunk.{n}" for n, _ in model.trunk.named_parameters()]
    table = run.table("losses")
    assert table["step"].tolist() == [0, 1, 2, 3, 4]
    assert table["loss"].tolist() == expected_losses
    assert table["learning_rate"].tolist() == [0.5] * 5
    assert (np.diff(table["wall_time"]) >= 0).all()
    gradients = run.table("gradients")
    assert gradients["step"].tolist() == [0, 2, 4]
    assert gradients["layer"].tolist() == ["trunk.0", "trunk.2"]
    assert np.allclose(gradients["gram"], torch.stack(expected_grams[::2]), rtol=1e-4)
    assert run.gram().shape == (3, 2, 2)


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
            r.observe(losses(model, one_batch()), step=step)
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
        r.backward(losses(model, one_batch()))
        r.evaluate("train", value)
    run = Trajectory(path)
    train = run.table("evaluations/train")
    assert train["step"].tolist() == [0, 2, 4, 6, 7]
    assert train["epoch"].tolist() == [0, 1, 2, 3, 17]
    assert run.table("evaluations/test")["epoch"].tolist() == [1, 2, 3]
    assert run.table("losses")["epoch"].tolist() == [0, 0, 1, 1, 2, 2, 17]
    # on the graph of the first batch after the boundary: the evaluated weights
    assert run.table("gradients")["step"].tolist() == [0, 2, 4, 6]


def test_evaluations_hold_metrics_and_their_direction(path: Path, model: TwoHeads) -> None:
    with recorder(path, model, shared=model.trunk, lower_is_better=["mae"]) as r:
        r.evaluate("test", {"left": {"loss": 0.5, "accuracy": 81.5}})
        r.backward(losses(model, one_batch()))
        r.evaluate("test", {"left": {"loss": 0.25}, "right": {"mae": torch.tensor(0.125)}})
    table = Trajectory(path).table("evaluations/test")
    nan = math.nan
    for name, expected, higher in (
        ("loss", [[0.5, nan], [0.25, nan]], False),
        ("accuracy", [[81.5, nan], [nan, nan]], True),
        ("mae", [[nan, nan], [nan, 0.125]], False),
    ):
        assert np.array_equal(table[name], expected, equal_nan=True)
        attributes = Trajectory(path).table("evaluations/test").column_attributes(name)
        assert attributes["higher_is_better"] == higher


def test_evaluations_hold_what_training_has_spent(path: Path, model: TwoHeads) -> None:
    values = {"left": {"loss": 1.0}, "right": {"loss": 2.0}}
    with recorder(path, model) as r:
        r.evaluate("train", values)
        for step, batch in enumerate(batches(2), 1):
            r.backward(losses(model, batch))
            r.evaluate("test", values, tokens=1e9 * step, samples=torch.tensor(5 * step))
        r.evaluate("test", values, step=3)
    table = Trajectory(path).table("evaluations/test")
    assert table.axes("tokens") == ("step",)
    assert table["tokens"].tolist() == pytest.approx([1e9, 2e9, np.nan], nan_ok=True)
    assert table["samples"][:2].tolist() == [5, 10]
    assert (np.diff(table["wall_time"]) >= 0).all()
    assert "tokens" not in Trajectory(path).table("evaluations/train")


@pytest.mark.parametrize(
    ("clocks", "sentence"),
    [
        ({"tokens": -1}, "tokens is -1; give what was spent since training began"),
        ({"tokens": "many"}, "tokens is 'many'; give one number"),
        ({"epoch": 3}, "'epoch' is recorded by another way already; set recorder.epoch"),
        ({"loss": 3}, "'loss' is recorded by another way already"),
    ],
)
def test_what_is_no_sum_of_what_was_spent_is_one_sentence(
    path: Path, model: TwoHeads, clocks: dict[str, Any], sentence: str
) -> None:
    with recorder(path, model) as r, pytest.raises(TrajlabError, match=sentence):
        r.evaluate("test", {"left": {"loss": 1.0}}, **clocks)
    assert "evaluations/test" not in Trajectory(path).tables


def test_flags_of_items_are_recorded_for_the_tasks_that_have_them(
    path: Path, model: TwoHeads
) -> None:
    left, right = torch.arange(11) % 3 == 0, np.arange(9) % 2 == 0
    with recorder(path, model, shared=model.trunk) as r:
        r.evaluate("test", {"left": {"loss": 1.0}})
        r.backward(losses(model, one_batch()))
        r.evaluate(
            "test",
            {"left": {"loss": 1.0, "correct": left}, "right": {"loss": 2.0, "correct": right}},
        )
        r.backward(losses(model, one_batch()))
        r.evaluate("test", {"right": {"loss": 2.0, "correct": right}})
        with pytest.raises(TrajlabError, match="2 labels of axis item_byte, not 22"):
            r.evaluate("test", {"left": {"correct": np.ones(170, bool)}})
    run = Trajectory(path)
    assert run.table("evaluations/test")["items"].tolist() == [[-1, -1], [11, 9], [-1, 9]]
    found = run.correct("test")
    assert found.mask.sum(axis=2).tolist() == [[11, 11], [0, 2], [11, 2]]
    assert found[1, 0].tolist() == left.tolist()
    for row in (1, 2):
        assert found[row, 1].compressed().tolist() == right.tolist()
    with pytest.raises(TrajlabError, match="no table 'evaluations/train'"):
        run.correct("train")


def test_nan_and_infinite_losses_are_recorded_as_they_are(path: Path, model: TwoHeads) -> None:
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients()]) as r:
        values = losses(model, one_batch())
        r.backward({"left": values["left"] * math.nan, "right": values["right"] * math.inf})
    run = Trajectory(path)
    assert np.array_equal(run.table("losses")["loss"], [[math.nan, math.inf]], equal_nan=True)
    assert np.isnan(run.table("gradients")["gram"]).all()


def test_omitted_task_is_nan(path: Path, model: TwoHeads) -> None:
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients()]) as r:
        r.backward({"right": losses(model, one_batch())["right"]})
        r.backward({"left": None, "right": losses(model, one_batch())["right"]})
    run = Trajectory(path)
    assert np.isnan(run.table("losses")["loss"]).tolist() == [[True, False]] * 2
    assert np.isnan(run.table("losses")["weight"]).tolist() == [[True, False]] * 2
    assert np.isnan(run.gram()).tolist() == [[[True, True], [True, False]]] * 2


def test_tasks_with_inputs_of_their_own(path: Path, model: TwoHeads) -> None:
    (x, y), (u, v) = batches(2)
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients()]) as r:
        ce = nn.functional.cross_entropy
        r.backward({"left": ce(model(x)[0], y[:, 0]), "right": ce(model(u)[1], v[:, 1])})
    separate = []
    for batch, task in (((x, y), "left"), ((u, v), "right")):
        model.zero_grad()
        losses(model, batch)[task].backward()
        separate.append(torch.cat([p.grad.flatten() for p in model.trunk.parameters()]).double())
    expected = torch.stack(separate) @ torch.stack(separate).T
    assert np.allclose(Trajectory(path).gram()[0], expected, rtol=1e-5)


def test_shared_parameters_are_found_on_the_first_step(
    path: Path, model: TwoHeads, caplog: pytest.LogCaptureFixture
) -> None:
    with recorder(path, model, probes=[probes.TaskGradients()]) as r:
        r.evaluate("train", {"left": {"loss": 1.0}, "right": {"loss": 1.0}})
        for batch in batches(3):
            r.backward(losses(model, batch))
    assert Trajectory(path).shared == [f"trunk.{n}" for n, _ in model.trunk.named_parameters()]
    found = [record for record in caplog.records if "trajlab found" in record.getMessage()]
    assert len(found) == 1
    assert "trunk.0, trunk.2" in caplog.text


@pytest.mark.parametrize("update", [False, True])
def test_recorder_that_nobody_holds_is_freed_and_its_run_sealed(
    path: Path, model: TwoHeads, update: bool, caplog: pytest.LogCaptureFixture
) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    before = signal.getsignal(signal.SIGTERM)
    r = recorder(
        path,
        model,
        shared=model.trunk,
        optimizer=optimizer,
        probes=[probes.TaskGradients(update=update)],
    )
    kept = weakref.ref(r)
    for batch in batches(3):
        r.backward(losses(model, batch))
        optimizer.step()
        optimizer.zero_grad()
    del r
    gc.collect()
    assert kept() is None
    assert signal.getsignal(signal.SIGTERM) == before
    run = Trajectory(path)
    assert run.status == "recording"
    assert run.gram().shape == (3, 2, 2)
    assert "was not closed" in caplog.text
    optimizer.step()  # what watched it is gone
    with recorder(path, model, shared=model.trunk, resume=True) as resumed:
        assert resumed.step == 3


def test_errors_of_the_users_code_are_raised_unchanged_and_the_run_is_sealed(
    path: Path, model: TwoHeads
) -> None:
    error = KeyError("mine")

    def train() -> None:
        with recorder(path, model, shared=model.trunk) as r:
            r.backward(losses(model, one_batch()))
            raise error

    with pytest.raises(KeyError) as caught:
        train()
    assert caught.value is error
    run = Trajectory(path)
    assert run.status == "recording"
    assert len(run.table("losses")["step"]) == 1


def test_failure_to_seal_does_not_hide_the_users_error(
    path: Path, model: TwoHeads, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    r = recorder(path, model, shared=model.trunk)

    def train() -> None:
        with r:
            monkeypatch.setattr(r._writer, "flush", lambda: 1 / 0)
            raise KeyError

    with pytest.raises(KeyError):
        train()
    assert "could not seal" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR
    monkeypatch.undo()
    r.close()


def test_resumed_run_supersedes_what_followed_the_checkpoint(path: Path, model: TwoHeads) -> None:
    def record(r: Recorder, n: int) -> None:
        for batch in batches(n):
            r.backward(losses(model, batch))
        r.evaluate("test", {"left": {"loss": float(n)}})

    with recorder(path, model, shared=model.trunk, resume=True) as r:  # none yet: starts it
        record(r, 3)
        state = r.state_dict()
        assert Trajectory(path).table("losses")["step"].tolist() == [0, 1, 2]
        record(r, 4)
    for resume, n in (({"from_step": 3}, 2), ({}, 1)):
        with recorder(path, model, shared=model.trunk, resume=True, **resume) as r:
            if not resume:
                r.load_state_dict(state)
            assert (r.step, r.epoch) == (3, 1)
            record(r, n)
            assert r.epoch == 2
        run = Trajectory(path)
        assert run.table("losses")["step"].tolist() == [0, 1, 2, *range(3, 3 + n)]
        assert run.table("evaluations/test")["loss"][:, 0].tolist() == [3, n]
    with recorder(path, model, shared=model.trunk, resume=True) as r:
        assert (r.step, r.epoch) == (4, 2)
        r.backward(losses(model, one_batch()))
        with pytest.raises(TrajlabError, match="load the checkpoint before recording"):
            r.load_state_dict(state)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda m: {"tasks": ["a", "a"]}, "distinct names"),
        (lambda m: {"tasks": "ab"}, "distinct names"),
        (lambda m: {"tasks": ["a"], "shared": nn.Linear(2, 2)}, "not the model's"),
        (lambda m: {"tasks": ["a"], "shared": m.trunk[1]}, "no trainable parameter"),
        (lambda m: {"tasks": ["a"], "shared": m.trunk, "from_step": 3}, "resume=True"),
    ],
)
def test_wrong_construction_is_one_sentence(
    path: Path, model: TwoHeads, make: Any, sentence: str
) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        Recorder(path, model, **make(model))
    assert not path.exists()


def test_existing_file_is_refused(path: Path, model: TwoHeads) -> None:
    recorder(path, model).close()
    with pytest.raises(TrajlabError, match="exists"):
        recorder(path, model)


@pytest.mark.parametrize("part", [None, "trunk"])
def test_compiled_model_is_refused(path: Path, model: TwoHeads, part: str | None) -> None:
    if part:
        model.trunk.compile(backend="eager")
    else:
        model = torch.compile(model, backend="eager")
    with pytest.raises(TrajlabError, match=f"{part or 'the model'} is compiled"):
        recorder(path, model)
    recorder(path, model, shared=list(model.parameters())).close()  # needs no graph


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda r, v: r.backward({"middle": v["left"]}), "'middle' is not declared"),
        (lambda r, v: r.backward(v, {"left": 1, "middle": 1}), "'middle' is not declared"),
        (lambda r, v: r.backward(v, {"left": 1}), "weights lack task 'right'"),
        (lambda r, v: r.backward(v, {"left": 1, "right": torch.ones(1)}), "has shape"),
        (lambda r, v: r.backward({"left": 0.5}), "not a tensor of one number"),
        (lambda r, v: r.backward({"left": v["left"].expand(3)}), "not a tensor of one number"),
        (lambda r, v: r.backward({"left": v["left"].detach()}), "need no gradient"),
        (lambda r, v: r.observe({}), "no task has a loss"),
        (lambda r, v: r.evaluate("dev", {}), "'dev' is no split"),
        (lambda r, v: r.evaluate("test", {"middle": {}}), "'middle' is evaluated but not declared"),
        (lambda r, v: r.evaluate("test", {"left": {"loss": "low"}}), "one number"),
        (lambda r, v: r.evaluate("test", {"left": {"loss": torch.ones(2)}}), "one number"),
        (lambda r, v: r.evaluate("test", {"left": {"correct": 81.5}}), "flat array of flags"),
        (lambda r, v: r.evaluate("test", {"left": {"epoch": 1.0}}), "'epoch' is a column of"),
    ],
)
def test_wrong_values_are_one_sentence_and_store_nothing(
    path: Path, model: TwoHeads, act: Any, sentence: str
) -> None:
    with recorder(path, model, shared=model.trunk) as r:
        with pytest.raises(TrajlabError, match=sentence):
            act(r, losses(model, one_batch()))
        assert r.step == 0
    run = Trajectory(path)
    assert all(len(run.table(name)["step"]) == 0 for name in run.tables)


def test_closed_recorder_records_no_more(path: Path, model: TwoHeads) -> None:
    with recorder(path, model, shared=model.trunk) as r:
        r.backward(losses(model, one_batch()))
    r.close()
    model.zero_grad()
    with pytest.raises(TrajlabError, match="is closed"):
        r.evaluate("test", {"left": {"loss": 1.0}})
    with pytest.raises(TrajlabError, match="is closed"):
        r.backward(losses(model, one_batch()))
    assert grads(model) == []


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"method": "sketched"}, "is unknown"),
        ({"scope": "heads"}, "is unknown"),
        ({"scope": "representation", "layers": ["trunk.0"]}, "has no layers"),
    ],
)
def test_options_that_do_not_exist_are_refused(option: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        probes.TaskGradients(**option)


def test_chosen_layers_have_no_total(path: Path, model: TwoHeads) -> None:
    every = probes.TaskGradients()
    with recorder(path, model, shared=model.trunk, probes=[every]) as r:
        for batch in batches(3):
            r.backward(losses(model, batch))
    chosen = path.with_name("chosen.h5")
    upper = probes.TaskGradients(layers=["trunk.2"])
    with recorder(chosen, model, shared=model.trunk, probes=[upper]) as r:
        for batch in batches(3):
            r.backward(losses(model, batch))
    table, part = Trajectory(path).table("gradients"), Trajectory(chosen).table("gradients")
    assert table.attributes["complete"]
    assert not part.attributes["complete"]
    assert part["layer"].tolist() == ["trunk.2"]
    assert np.allclose(part["gram"][:, 0], table["gram"][:, 1], rtol=1e-4)
    unknown = probes.TaskGradients(layers=["head"])
    with pytest.raises(TrajlabError, match=r"'head' owns no parameter in scope 'parameters'"):
        recorder(path.with_name("no.h5"), model, shared=model.trunk, probes=[unknown])


def test_representation_has_its_own_table(path: Path, model: TwoHeads) -> None:
    probe = probes.TaskGradients(scope="representation")
    with recorder(path, model, shared=model.trunk, probes=[probe]) as r:
        values = losses(model, one_batch())
        r.backward(values)
    run = Trajectory(path)
    assert run.table("representation_gradients")["gram"].shape == (1, 2, 2)
    assert "gradients" not in run.tables


def test_two_probes_do_not_disturb_each_other(path: Path, model: TwoHeads) -> None:
    both = [probes.TaskGradients(), probes.HessianTop(1)]
    with recorder(path, model, shared=model.trunk, probes=both) as r:
        for batch in batches(3):
            values = losses(model, batch)
            expected = task_gram(list(values.values()), dict(r._loop.shared.parameters)).gram.sum(0)
            r.backward(values)
    assert np.allclose(Trajectory(path).gram()[-1], expected, rtol=1e-4)


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("layers", [None, ["trunk.0", "left"]])
def test_all_parameters_are_in_scope_if_asked_for(
    path: Path, model: TwoHeads, passes: int, layers: list[str] | None
) -> None:
    model.double()
    model.right.weight.requires_grad_(False)
    probe = probes.TaskGradients(scope="all", layers=layers)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    chosen = [
        p
        for name, p in model.named_parameters()
        if p.requires_grad and (layers is None or name.rpartition(".")[0] in layers)
    ]
    expected = []
    with recorder(path, model, shared=model.trunk, optimizer=optimizer, probes=[probe]) as r:
        for _ in range(3):
            rows: Tensor | float = 0.0
            for x, y in batches(passes):
                values = losses(model, (x.double(), y))
                rows = rows + jacobian(list(values.values()), chosen) / passes
                r.backward(values, accumulate=passes)
            expected.append(rows @ rows.T)
            optimizer.step()
            optimizer.zero_grad()
    table = Trajectory(path).table("all_gradients")
    assert table.attributes["scope"] == "all"
    assert table.attributes["complete"] == (layers is None)
    assert table["layer"].tolist() == (layers or ["trunk.0", "trunk.2", "left", "right"])
    assert np.allclose(table["gram"].sum(1), torch.stack(expected), rtol=1e-10, atol=0)
    assert "gradients" not in Trajectory(path).tables


@pytest.mark.parametrize(
    "scopes", list(itertools.permutations(["parameters", "representation", "all"]))
)
def test_gradients_of_all_scopes_are_recorded_together(
    scopes: tuple[str, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh())
    heads = [nn.Linear(4, 1) for _ in range(2)]
    model = nn.ModuleDict({"trunk": trunk, "heads": nn.ModuleList(heads)})
    both = [probes.TaskGradients(scope=scope) for scope in scopes]
    x = torch.randn(2, 3)  # of few rows, so that products go by their output gradients
    path = tmp_path / "run.h5"
    with Recorder(path, model, tasks=["a", "b"], shared=trunk, probes=both) as recorder:
        for _ in range(3):
            z = trunk(x)
            losses = [heads[0](z).pow(2).mean(), heads[1](z).exp().mean()]
            at_z = jacobian(losses, [z])
            at_weights = jacobian(losses, list(trunk.parameters()))
            at_all = jacobian(losses, list(model.parameters()))
            recorder.backward(dict(zip("ab", losses, strict=True)))
    run = Trajectory(path)
    found = torch.as_tensor(run.table("representation_gradients")["gram"])
    assert torch.allclose(found[-1], at_z @ at_z.T, rtol=1e-5)
    assert torch.allclose(torch.as_tensor(run.gram()[-1]), at_weights @ at_weights.T, rtol=1e-5)
    found = torch.as_tensor(run.table("all_gradients")["gram"]).sum(1)
    assert torch.allclose(found[-1], at_all @ at_all.T, rtol=1e-5)


def jacobian(losses: list[Tensor], tensors: list[Tensor]) -> Tensor:
    rows = [
        torch.autograd.grad(loss, tensors, None, True, allow_unused=True, materialize_grads=True)
        for loss in losses
    ]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).double()
