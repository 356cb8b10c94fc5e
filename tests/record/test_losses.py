"""Losses as a loop hands them over, and of several processes, with the others' made up."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from trajlab import TrajlabError
from trajlab.record import losses
from trajlab.record.loop.losses import present_losses, weighted_sum
from trajlab.record.moment import Moment


def test_the_mean_is_over_the_processes_that_have_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three, two have ``left``, none but this one ``right``, and no one ``none``."""
    monkeypatch.setattr(losses, "processes", lambda: 3)
    others = [torch.tensor([5.0, 0.0, 0.0]), torch.tensor([1.0, 0.0, 0.0])]
    monkeypatch.setattr(
        losses,
        "sum_over_processes",
        lambda own: [mine + more for mine, more in zip(own, others, strict=True)],
    )
    here = {"left": torch.tensor(1.0), "right": torch.tensor(2.0)}
    moment: Moment = SimpleNamespace(losses=here, tasks=("left", "right", "none"))  # type: ignore[assignment]
    mean = losses._mean(torch.tensor([1.0, 2.0, torch.nan]), moment)
    assert mean.tolist()[:2] == [3.0, 2.0]
    assert mean[2].isnan()


def test_a_total_is_added_in_the_order_of_its_losses() -> None:
    """As ``sum(w * loss)`` is, bit for bit: of 1, 1e8 and -1e8 nothing is left, or 1."""
    values = {"a": torch.tensor(1.0), "none": None, "b": torch.tensor(1e8), "c": torch.tensor(-1e8)}
    assert weighted_sum(values, None).item() == 0.0
    assert weighted_sum(dict(reversed(values.items())), None).item() == 1.0
    assert weighted_sum(values, {"a": 3.0, "b": torch.tensor(2.0), "c": 1.0}).item() == 1e8
    assert weighted_sum({"a": values["a"]}, {"a": 0.25}).item() == 0.25
    with pytest.raises(TrajlabError, match="no task has a loss in this batch"):
        weighted_sum({"none": None}, None)


LOSS = torch.ones((), requires_grad=True)


@pytest.mark.parametrize(
    ("given", "weights", "sentence"),
    [
        ({"a": LOSS}, {}, "weights lack task 'a'"),
        ({"a": LOSS, "b": LOSS}, {"a": 1.0}, "weights lack task 'b'"),
        ({"a": LOSS}, {"a": 1.0, "c": 1.0}, "task 'c' is not declared; .* beside a, b"),
        ({"a": LOSS}, {"a": torch.ones(1)}, r"weight of task 'a' has shape \(1,\)"),
        ({"a": LOSS}, {"a": "1"}, "weight of task 'a' is '1'; give a number"),
        ({"c": LOSS}, None, "task 'c' is not declared"),
        ({"a": torch.ones(2, requires_grad=True)}, None, "task 'a' is not a tensor of one number"),
        ({"a": 1.0}, None, "task 'a' is not a tensor of one number"),
        ({"a": None}, None, "no task has a loss in this batch"),
        ({"a": LOSS.detach(), "b": None}, None, "the losses need no gradient"),
    ],
)
def test_losses_and_weights_that_mean_nothing_are_one_sentence(
    given: dict[str, Any], weights: dict[str, Any] | None, sentence: str
) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        present_losses(given, weights, ("a", "b"))


def test_losses_of_one_number_and_those_that_need_no_gradient_beside_others_are_taken() -> None:
    given = {"b": LOSS.reshape(1, 1), "a": LOSS.detach()}
    found = present_losses(given, {"a": 1, "b": torch.ones(())}, ("a", "b"))
    assert {task: loss.shape for task, loss in found.items()} == {"b": (), "a": ()}
    assert list(found) == ["b", "a"]
    assert present_losses({"a": LOSS, "b": None}, {"a": 1.0}, ("a", "b")) == {"a": LOSS}
