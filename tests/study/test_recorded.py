"""What a study file's probes are made of: their options, and the first examples as a sample."""

import pytest
import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.record.probes import GradientNoise, Probe, TaskGradients
from trajlab.study.recorded import build, check
from trajlab.training.setting import MultiTaskModel, Problem, Task


def problem(*, shared: bool, examples: int = 7) -> Problem:
    """Two tasks whose inputs and targets count up, the second's from 100 and 1000."""
    model = MultiTaskModel(torch.nn.Linear(1, 1), {})
    counts = torch.arange(examples)
    tasks = {}
    for k, name in enumerate(("one", "two")):
        inputs = counts if shared else counts + 100 * k
        split = (inputs, counts + 1000 * k)
        tasks[name] = Task(dict.fromkeys(("train", "validation", "test"), split), _loss, {})
    return Problem(tasks, model, shared_inputs=shared)


def _loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs - targets


def sample(made: Problem, **sizes: int) -> object:
    (probe,) = build({"GradientNoise": {"every": 3, **sizes}}, made)
    assert isinstance(probe, GradientNoise)
    return probe._data


def plain(batches: object) -> list[dict[str, tuple[list[int], list[int]]]]:
    assert isinstance(batches, list)
    return [{k: (x.tolist(), y.tolist()) for k, (x, y) in batch.items()} for batch in batches]


@pytest.mark.parametrize(
    ("examples", "size", "rows"),
    [
        (5, 2, [[0, 1], [2, 3], [4]]),
        (4, 2, [[0, 1], [2, 3]]),
        (9, 3, [[0, 1, 2], [3, 4, 5], [6]]),  # no more than there are
        (2, 5, [[0, 1]]),
    ],
)
def test_a_sample_is_of_the_first_examples_in_batches(
    examples: int, size: int, rows: list[list[int]]
) -> None:
    together = sample(problem(shared=True), examples=examples, batch_size=size)
    assert plain(together) == [
        {"one": (own, own), "two": (own, [row + 1000 for row in own])} for own in rows
    ]
    apart = sample(problem(shared=False), examples=examples, batch_size=size)
    assert isinstance(apart, dict)
    assert {name: plain(batches) for name, batches in apart.items()} == {
        "one": [{"one": (own, own)} for own in rows],
        "two": [{"two": ([row + 100 for row in own], [row + 1000 for row in own])} for own in rows],
    }


def due(probe: Probe) -> list[int]:
    return [step for step in range(25) if probe.schedule.due(step, False)]


def test_probes_are_made_with_their_options() -> None:
    record = {
        "TaskGradients": {"every": "log-spaced", "scope": "all"},
        "GradientNoise": {"every": 10, "examples": 4, "batch_size": 2, "population": 50},
    }
    gradients, noise = build(record, problem(shared=True))
    assert due(gradients) == [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20]
    assert due(noise) == [0, 10, 20]
    assert isinstance(gradients, TaskGradients)
    assert gradients.quantity == "TaskGradients(scope='all')"
    assert isinstance(noise, GradientNoise)
    assert noise._population == 50
    assert record["GradientNoise"]["examples"] == 4  # what a run keeps beside its numbers


def test_a_probe_that_has_the_graph_of_the_batch_needs_no_sample() -> None:
    """`HessianTop` measures on either; half a sample is none, of whichever probe."""
    sizes = {"examples": 4, "batch_size": 2}
    for record, on_the_graph in (({"every": 5}, True), ({"every": 5, **sizes}, False)):
        check({"HessianTop": record}, "here")
        (probe,) = build({"HessianTop": record}, problem(shared=True))
        assert probe.needs_graph == on_the_graph
        assert due(probe) == [0, 5, 10, 15, 20]
    for name, options in (
        ("HessianTop", {"examples": 4}),
        ("HessianTop", {"batch_size": 2}),
        ("Sharpness", {"batch_size": 2}),
        ("Sharpness", {}),
    ):
        with pytest.raises(TrajlabError, match=f"{name} in .* give examples and batch_size"):
            check({name: options}, "here")
