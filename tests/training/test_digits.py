"""The digits setting: what is equal in every condition, and what is not."""

import pytest
import torch
from sklearn.datasets import load_digits

from trajlab.training.setting import Problem
from trajlab.training.settings.digits import digits


def build(condition: str, seed: int = 3) -> Problem:
    return digits.build(condition, seed)


def rows(inputs: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in inputs}


@pytest.mark.parametrize("condition", ["+same", "+noisy"])
def test_first_task_is_equal_in_every_condition(condition: str) -> None:
    alone, together = build(""), build(condition)
    for split in ("train", "validation", "test"):
        for one, other in zip(
            alone.tasks["first"].splits[split], together.tasks["first"].splits[split], strict=True
        ):
            assert torch.equal(one, other)
    ours, theirs = alone.model.state_dict(), together.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_splits_share_no_image_and_come_from_the_data() -> None:
    problem = build("+same")
    splits = [
        task.splits[name][0] for task in problem.tasks.values() for name in ("train", "validation")
    ]
    splits.append(problem.tasks["first"].splits["test"][0])
    assert [len(split) for split in splits] == [300, 299, 300, 298, 600]
    images = {row.tobytes() for row in (load_digits().data / 16).astype("float32")}
    assert sum(len(rows(split)) for split in splits) == len(images) == 1797
    assert set().union(*map(rows, splits)) == images


def test_noisy_labels_are_a_permutation_of_the_true_ones() -> None:
    true, noisy = build("+same").tasks["second"], build("+noisy").tasks["second"]
    assert torch.equal(true.splits["train"][0], noisy.splits["train"][0])
    ours, theirs = noisy.splits["train"][1], true.splits["train"][1]
    assert torch.equal(ours.sort().values, theirs.sort().values)
    assert (ours == theirs).float().mean() < 0.3  # one in ten agrees by chance
    assert torch.equal(noisy.splits["test"][1], true.splits["test"][1])


def test_seed_moves_the_training_split_and_keeps_the_test_set() -> None:
    one, other = build("", 0), build("", 1)
    assert torch.equal(one.tasks["first"].splits["test"][0], other.tasks["first"].splits["test"][0])
    assert not torch.equal(
        one.tasks["first"].splits["train"][0], other.tasks["first"].splits["train"][0]
    )
    assert not torch.equal(one.model.trunk[0].weight, other.model.trunk[0].weight)


def test_building_leaves_the_random_stream_alone() -> None:
    state = torch.get_rng_state()
    build("+noisy")
    assert torch.equal(state, torch.get_rng_state())
