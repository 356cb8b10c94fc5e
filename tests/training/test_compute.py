"""What training costs, against operations counted by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trajlab import load
from trajlab.training import Plan, train
from trajlab.training.settings.digits import digits
from trajlab.training.trainer import Trainer

PLAN = Plan(digits, "+same", "uniform", 0, 2, 50, 0.05, 0.0)
# Of one task's 50 examples through 64-64-64 and a head of 10, a multiplication and an addition.
TRUNK, HEAD = 2 * 50 * (64 * 64 + 64 * 64), 2 * 50 * 64 * 10
FIRST = 2 * 50 * 64 * 64  # no gradient of the inputs
FORWARD, BACKWARD = TRUNK + HEAD, 2 * (TRUNK + HEAD) - FIRST


@pytest.mark.parametrize(
    ("method", "options", "flops"),
    [
        ("uniform", {}, 2 * (FORWARD + BACKWARD)),
        ("famo", {}, 2 * (FORWARD + BACKWARD + FORWARD)),  # the losses after the update
        ("sampling", {}, FORWARD + BACKWARD),  # one task a step
    ],
)
def test_the_operations_of_a_step_are_those_counted_by_hand(
    method: str, options: dict[str, float], flops: int, tmp_path: Path
) -> None:
    path = train(replace(PLAN, method=method, options=options), tmp_path / "run.h5")
    table = load(path)[0].table("compute")
    steps = table["step"]
    assert steps.tolist() == [0, 6, 12]
    assert table["flops"] == pytest.approx(steps * flops, rel=1e-12)
    assert (torch.tensor(table["seconds"]).diff() > 0).all()


def test_a_method_of_task_gradients_costs_its_gram_matrix_more() -> None:
    uniform, mgda = (Trainer(replace(PLAN, method=name))._flops for name in ("uniform", "mgda"))
    shared = sum(p.numel() for p in Trainer(PLAN).model.trunk.parameters())
    assert mgda - uniform >= 2 * 2 * 2 * shared  # (2, p) by (p, 2)


def test_counting_changes_neither_weights_nor_random_streams() -> None:
    plan = replace(PLAN, method="random", dropout=0.5)
    torch.manual_seed(0)
    made = Trainer(plan)
    after = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(3))
    fresh = plan.problem().model.state_dict()
    assert all(torch.equal(value, fresh[key]) for key, value in made.model.state_dict().items())
    assert all(parameter.grad is None for parameter in made.model.parameters())
