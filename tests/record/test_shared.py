"""Which parameters are shared, found from graphs."""

import pytest
import torch
from torch import Tensor, nn

from trajlab import TrajlabError
from trajlab.record.loop.shared import discover_shared, name_shared


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
