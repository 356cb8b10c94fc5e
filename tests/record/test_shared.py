"""Which parameters are shared, found from graphs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.models import TwoHeads
from tests.record.loops import batches, losses, recorder
from trajlab import TrajlabError, probes
from trajlab.record.loop.shared import discover_shared, name_shared
from trajlab.store import Trajectory


class Branching(nn.Module):
    """Tasks a and b share `ab`, b and c share `bc`, all share `all`; nobody reaches `unused`."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("all", "ab", "bc", "a", "b", "c", "unused"):
            setattr(self, name, nn.Linear(2, 2))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        z = self.all(x).tanh()
        ab, bc = self.ab(z), self.bc(z)
        return {
            "a": self.a(ab).sum(),
            "b": self.b(ab * bc).sum(),
            "c": self.c(bc).sum(),
        }


def layers(shared: dict[str, nn.Parameter]) -> list[str]:
    return list(dict.fromkeys(name.split(".")[0] for name in shared))


@pytest.fixture
def model() -> Branching:
    return Branching()


def test_two_or_more_losses_reach_it(model: Branching) -> None:
    found = discover_shared(model, "abc", model(torch.randn(3, 2)))
    assert layers(found) == ["all", "ab", "bc"]
    assert found["ab.weight"] is model.ab.weight


def test_tasks_with_inputs_of_their_own(model: Branching) -> None:
    losses = {task: model(torch.randn(3, 2))[task] for task in "ac"}
    assert layers(discover_shared(model, "ac", losses)) == ["all"]


def test_one_task_gives_all_it_reaches(model: Branching) -> None:
    losses = {"a": model(torch.randn(3, 2))["a"]}
    assert layers(discover_shared(model, ["a"], losses)) == ["all", "ab", "a"]


def test_frozen_and_tied_parameters(model: Branching) -> None:
    model.all.bias.requires_grad_(False)
    model.bc.weight = model.ab.weight
    found = discover_shared(model, "abc", model(torch.randn(3, 2)))
    assert list(found) == ["all.weight", "ab.weight", "ab.bias", "bc.bias"]


def test_one_of_several_tasks_is_not_enough(model: Branching) -> None:
    losses = {"a": model(torch.randn(3, 2))["a"]}
    with pytest.raises(TrajlabError, match="pass shared="):
        discover_shared(model, "abc", losses)


def test_nothing_shared_is_one_sentence(model: Branching) -> None:
    x = torch.randn(3, 2)
    with pytest.raises(TrajlabError, match="no two task losses reach a common parameter"):
        discover_shared(model, "ab", {"a": model.a(x).sum(), "b": model.b(x).sum()})


def test_deep_graphs_need_no_recursion() -> None:
    model = nn.Linear(1, 1)
    z = model(torch.ones(1))
    for _ in range(5000):
        z = z + 1
    assert len(discover_shared(model, "ab", {"a": z, "b": 2 * z})) == 2


def test_given_module_or_parameters_are_named_as_the_model_does(model: Branching) -> None:
    assert list(name_shared(model, model.ab)) == ["ab.weight", "ab.bias"]
    assert list(name_shared(model, [model.bc.bias, model.ab.weight])) == ["ab.weight", "bc.bias"]
    model.ab.weight.requires_grad_(False)
    assert list(name_shared(model, model.ab)) == ["ab.bias"]


def stacked(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses)


def joined(losses: list[Tensor]) -> Tensor:
    return torch.cat([loss.reshape(1) for loss in losses])


def assigned(losses: list[Tensor]) -> Tensor:
    vector = torch.zeros(len(losses))
    for i, loss in enumerate(losses):
        vector[i] = loss
    return vector


def put(losses: list[Tensor]) -> Tensor:
    vector = torch.zeros(len(losses))
    for i, loss in enumerate(losses):
        vector = vector.index_put((torch.tensor(i),), loss)
    return vector


def chosen(losses: list[Tensor]) -> Tensor:
    vector = torch.zeros(len(losses))
    for place, loss in zip(torch.eye(len(losses)).bool(), losses, strict=True):
        vector = torch.where(place, loss, vector)
    return vector


def weighted(losses: list[Tensor]) -> Tensor:
    return torch.tensor([2.0, 0.5, 1.0]) * torch.stack(losses)


@pytest.mark.parametrize("collect", [stacked, joined, assigned, put, chosen, weighted])
def test_losses_that_are_collected_and_indexed_share_no_heads(
    model: Branching, collect: Callable[[list[Tensor]], Tensor]
) -> None:
    vector = collect(list(model(torch.randn(3, 2)).values()))
    found = discover_shared(model, "abc", dict(zip("abc", vector, strict=True)))
    assert layers(found) == ["all", "ab", "bc"]


def test_loss_with_a_part_of_another_shares_its_head(model: Branching) -> None:
    losses = model(torch.randn(3, 2))
    both = torch.stack([losses["a"], losses["a"] + losses["b"]])
    found = discover_shared(model, "ab", {"a": both[0], "b": both[1]})
    assert layers(found) == ["all", "ab", "a"]


def test_head_whose_weights_are_zero_leaves_the_trunk_shared(model: Branching) -> None:
    torch.nn.init.zeros_(model.a.weight)
    losses = torch.stack(list(model(torch.randn(3, 2)).values()))
    found = discover_shared(model, "abc", dict(zip("abc", losses, strict=True)))
    assert layers(found) == ["all", "ab", "bc"]


def test_where_everything_counts_as_shared_it_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
    columns = net(torch.randn(3, 2)).pow(2).mean(0)
    assert len(discover_shared(net, "ab", {"a": columns[0], "b": columns[1]})) == 4
    assert "every loss reaches every trainable parameter" in caplog.text
    assert "pass shared=" in caplog.text


def test_shared_parameters_are_found_on_the_first_step(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = TwoHeads()
    with recorder(path, model, probes=[probes.TaskGradients()]) as r:
        r.evaluate("train", {"left": {"loss": 1.0}, "right": {"loss": 1.0}})
        for batch in batches(3):
            r.backward(losses(model, batch))
    assert Trajectory(path).shared == [f"trunk.{n}" for n, _ in model.trunk.named_parameters()]
    found = [record for record in caplog.records if "trajlab found" in record.getMessage()]
    assert len(found) == 1
    assert "trunk.0, trunk.2" in caplog.text


@pytest.mark.parametrize("part", [None, "trunk"])
def test_compiled_model_is_refused(path: Path, part: str | None) -> None:
    model: Any = TwoHeads()
    if part:
        model.trunk.compile(backend="eager")
    else:
        model = torch.compile(model, backend="eager")
    with pytest.raises(TrajlabError, match=f"{part or 'the model'} is compiled"):
        recorder(path, model)
    recorder(path, model, shared=list(model.parameters())).close()  # needs no graph
