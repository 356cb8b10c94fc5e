"""The recorder in a training loop: what it stores, and what it leaves alone."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.models import TwoHeads
from tests.record.loops import batches, losses, recorder
from trajlab import TrajlabError, probes
from trajlab.measure.gram.task_gram import task_gram
from trajlab.store import Trajectory


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
        values = losses(model, batches(1)[0])
        r.backward(values, dict(zip(["left", "right"], w, strict=True)))
    assert torch.equal(w.grad, torch.stack([values["left"], values["right"]]).detach())
    assert Trajectory(path).table("losses")["weight"].tolist() == [[0.5, 2.0]]


def test_numbers_tensors_and_losses_of_one_element_mix(path: Path, model: TwoHeads) -> None:
    plain = TwoHeads()
    weights = {"left": 0.5, "right": torch.tensor(2)}
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients()]) as r:
        values = losses(model, batches(1)[0])
        r.backward({"left": values["left"].reshape(1), "right": values["right"]}, weights)
    sum(weights[task] * loss for task, loss in losses(plain, batches(1)[0]).items()).backward()
    assert equal(grads(model), grads(plain))
    table = Trajectory(path).table("losses")
    assert table["weight"].tolist() == [[0.5, 2.0]]
    assert table["loss"].tolist() == [[loss.item() for loss in values.values()]]


def test_backward_frees_the_graph(path: Path, model: TwoHeads) -> None:
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients()]) as r:
        values = losses(model, batches(1)[0])
        r.backward(values)
        with pytest.raises(RuntimeError, match="second time"):
            values["left"].backward()


def test_observe_touches_no_gradient_and_keeps_the_graph(path: Path, model: TwoHeads) -> None:
    plain = TwoHeads()
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients()]) as r:
        values = losses(model, batches(1)[0])
        r.observe(values)
        assert grads(model) == []
        (values["left"] * values["right"]).backward()
    values = losses(plain, batches(1)[0])
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


def test_nan_and_infinite_losses_are_recorded_as_they_are(path: Path, model: TwoHeads) -> None:
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients()]) as r:
        values = losses(model, batches(1)[0])
        r.backward({"left": values["left"] * math.nan, "right": values["right"] * math.inf})
    run = Trajectory(path)
    assert np.array_equal(run.table("losses")["loss"], [[math.nan, math.inf]], equal_nan=True)
    assert np.isnan(run.table("gradients")["gram"]).all()


def test_omitted_task_is_nan(path: Path, model: TwoHeads) -> None:
    with recorder(path, model, shared=model.trunk, probes=[probes.TaskGradients()]) as r:
        r.backward({"right": losses(model, batches(1)[0])["right"]})
        r.backward({"left": None, "right": losses(model, batches(1)[0])["right"]})
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
        (lambda r, v: r.evaluate("dev", {"left": {"loss": 1.0}}), "'dev' is no split"),
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
            act(r, losses(model, batches(1)[0]))
        assert r.step == 0
    run = Trajectory(path)
    assert all(len(run.table(name)["step"]) == 0 for name in run.tables)
