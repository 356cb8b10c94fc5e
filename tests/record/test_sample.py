"""A fixed sample: what is drawn, what names it, and losses over batches of unequal sizes."""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from trajlab import TrajlabError
from trajlab.record.sample import Sample

TASKS = ["left", "right"]
SIZES = (4, 2, 5, 4)  # below the first, above it, and equal to it


def numbers(sizes: tuple[int, ...] = SIZES) -> list[Tensor]:
    return [torch.arange(1.0, n + 1) + 10 * i for i, n in enumerate(sizes)]


def task_losses(model: nn.Module, batch: Tensor) -> dict[str, Any]:
    """Left: plain losses; right: twice them, of which only those of even numbers count."""
    weight = next(model.parameters()).sum()
    return {"left": weight * batch, "right": (2 * weight * batch, (batch % 2 == 0).float())}


@pytest.fixture
def model() -> nn.Module:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 3.0)
    return model


def test_losses_over_all_examples_are_sums_by_denominators(model: nn.Module) -> None:
    found = Sample(numbers(), TASKS, 0).mean_losses(model, task_losses)
    every = torch.cat(numbers()).numpy()
    assert found["left"].item() == pytest.approx(3 * every.mean())
    assert found["right"].item() == pytest.approx(6 * every.sum() / (every % 2 == 0).sum())
    found["left"].backward()
    assert model.weight.grad is not None
    assert model.weight.grad.item() == pytest.approx(every.mean())


def test_batches_below_a_task_s_first_are_left_out_of_its_functions(model: nn.Module) -> None:
    functions = Sample(numbers(), TASKS, 0).loss_functions(model, task_losses)
    assert {task: len(of_task) for task, of_task in functions.items()} == {"left": 3, "right": 3}
    weight = {"weight": torch.tensor([[5.0]])}
    kept = [batch for batch in numbers() if len(batch) >= 4]
    values = [function(weight).item() for function in functions["left"]]
    assert values == pytest.approx([5 * batch.mean().item() for batch in kept])
    values = [function(weight).item() for function in functions["right"]]
    assert values == pytest.approx([10 * (b.sum() / (b % 2 == 0).sum()).item() for b in kept])


def test_the_mean_loss_is_a_function_of_the_parameters(model: nn.Module) -> None:
    function = Sample(numbers(), TASKS, 0).mean_loss_function("right", model, task_losses)
    every = torch.cat(numbers())
    expected = 2 * every.sum() / (every % 2 == 0).sum()
    assert function({"weight": torch.tensor([[7.0]])}).item() == pytest.approx(7 * expected.item())
    assert model.weight.item() == 3


def test_each_task_s_own_batches_serve_it_alone(model: nn.Module) -> None:
    left, right = numbers((3,)), numbers((2, 2))
    sample = Sample({"right": right, "left": left}, TASKS, 0)
    rounds = list(sample.rounds())
    assert [[wanted for wanted, _ in entries] for entries in rounds] == [
        [("right",), ("left",)],
        [("right",)],
    ]
    found = sample.mean_losses(model, task_losses)
    assert found["left"].item() == pytest.approx(3 * left[0].mean().item())
    assert sample.losses(("left",), left[0], model, task_losses).keys() == {"left"}


def test_a_task_without_batches_has_no_digest_and_equal_batches_have_one(
    model: nn.Module,
) -> None:
    one, other = (Sample({"left": numbers()}, TASKS, seed) for seed in (0, 1))
    assert (one.identity["sample_seed"], other.identity["sample_seed"]) == (0, 1)
    digests = one.identity["sample_sha256"]
    assert digests[1] == ""
    assert len(digests[0]) == 64
    assert digests == other.identity["sample_sha256"]
    assert Sample(numbers(), TASKS, 0).identity["sample_sha256"] == [digests[0]] * 2
    assert one.mean_losses(model, task_losses).keys() == {"left"}


CONTENTS: Mapping[str, tuple[Any, Any]] = {
    "a tensor": (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0])),
    "an array": (np.array([1, 2]), np.array([1, 3])),
    "a list's second": ([1, 2], [1, 3]),
    "a tuple's tensor": ((torch.ones(1), "a"), (torch.zeros(1), "a")),
    "a mapping's value": ({"x": torch.ones(1)}, {"x": torch.zeros(1)}),
    "a mapping's key": ({"x": torch.ones(1)}, {"y": torch.ones(1)}),
    "a text": ("a", "b"),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_other_contents_have_another_digest(content: str) -> None:
    one, again, other = (
        Sample([made], TASKS, 0).identity["sample_sha256"]
        for made in (CONTENTS[content][0], CONTENTS[content][0], CONTENTS[content][1])
    )
    assert one == again
    assert one != other


class Augmented:
    """Batches that draw from every global stream, as augmentation does."""

    def __iter__(self) -> Iterator[Tensor]:
        yield torch.tensor([torch.rand(1).item(), np.random.rand(), random.random()])  # noqa: NPY002


def test_what_is_drawn_depends_on_the_seed_alone() -> None:
    drawn = [next(Sample(Augmented(), TASKS, seed).rounds())[0][1] for seed in (3, 3, 4)]
    assert torch.equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).all()


@pytest.mark.parametrize("of_sampler", [False, True])
def test_the_generator_of_a_training_loader_goes_on_as_it_was(of_sampler: bool) -> None:
    data, generator = TensorDataset(torch.arange(8.0)), torch.Generator().manual_seed(1)
    if of_sampler:
        loader = DataLoader(data, sampler=RandomSampler(data, generator=generator))
    else:
        loader = DataLoader(data, shuffle=True, generator=generator)
    digests = []
    for _ in range(2):
        torch.rand(3, generator=generator)  # training goes on
        state = generator.get_state()
        digests.append(Sample(loader, TASKS, 0).identity["sample_sha256"])
        assert torch.equal(generator.get_state(), state)
    assert digests[0] == digests[1]
    assert digests[0] != Sample(loader, TASKS, 1).identity["sample_sha256"]


def test_data_of_no_declared_task_and_without_a_batch_are_refused() -> None:
    with pytest.raises(TrajlabError, match="of task 'top', which is not declared; declare it in"):
        Sample({"left": numbers(), "top": numbers()}, TASKS, 0)
    for nothing in ([], {}, {"left": []}):
        with pytest.raises(TrajlabError, match="data= holds no batch"):
            Sample(nothing, TASKS, 0)


@pytest.mark.parametrize(
    ("losses", "shape"),
    [
        ({"top": torch.ones(2)}, r"\(2,\) for task 'top'"),
        ({"left": torch.ones(())}, r"\(\) for task 'left'"),
        ({"left": torch.ones(2, 1)}, r"\(2, 1\) for task 'left'"),
        ({"left": (torch.ones(2), torch.ones(3))}, r"\(2,\) for task 'left'"),
    ],
)
def test_losses_that_are_not_one_number_an_example_are_refused(
    model: nn.Module, losses: dict[str, Any], shape: str
) -> None:
    sample = Sample(numbers(), TASKS, 0)
    with pytest.raises(TrajlabError, match=f"gave shape {shape}; it must give per-example losses"):
        sample.losses(TASKS, None, model, lambda *_: losses)


def test_denominators_have_no_gradient(model: nn.Module) -> None:
    def weighted(model: nn.Module, batch: Tensor) -> dict[str, Any]:
        weight = next(model.parameters()).sum()
        return {"left": (weight * batch, weight * torch.ones_like(batch))}

    found = Sample(numbers((2,)), TASKS, 0).mean_losses(model, weighted)["left"]
    assert found.item() == pytest.approx(1.5)
    found.backward()
    assert model.weight.grad is not None
    assert model.weight.grad.item() == pytest.approx(0.5)  # 1.5 w / w, the latter held fixed
