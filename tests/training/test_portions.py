"""Shares of data and overlaps of inputs: what is kept, what is shared, what is refused."""

from pathlib import Path

import pytest
import torch

from trajlab.errors import TrajlabError
from trajlab.training.portions import Rows, keep, overlap
from trajlab.training.setting import Problem
from trajlab.training.settings import setting


@pytest.fixture
def yeast(data: Path) -> Problem:
    return setting("yeast").build("class1+class2", 0)


def test_a_share_keeps_the_first_examples_and_all_of_the_other_splits() -> None:
    whole = setting("digits").build("+same", 1)
    part = keep(whole, {"second": 0.1})
    for split in ("validation", "test"):
        assert part.tasks["second"].splits[split] is whole.tasks["second"].splits[split]
    assert torch.equal(
        part.tasks["first"].splits["train"][0], whole.tasks["first"].splits["train"][0]
    )
    for ours, theirs in zip(
        part.tasks["second"].splits["train"], whole.tasks["second"].splits["train"], strict=True
    ):
        assert torch.equal(ours, theirs[:30])
    assert keep(whole, 1.0) is whole
    assert len(keep(whole, 1e-9).tasks["first"].splits["train"][1]) == 1


@pytest.mark.parametrize(("asked", "kept"), [(55, 55), (55.4, 55), (55.6, 56)])
def test_a_share_keeps_the_nearest_number_of_examples(asked: float, kept: int) -> None:
    """Of 300, 55 / 300 is 55, though their product is a little less in floating point."""
    whole = setting("digits").build("+same", 1)
    number = len(whole.tasks["second"].splits["train"][1])
    assert number == 300
    part = keep(whole, {"second": asked / number})
    assert [len(each) for each in part.tasks["second"].splits["train"]] == [kept, kept]


def test_shared_inputs_stay_one_tensor(yeast: Problem) -> None:
    part = keep(yeast, 0.5)
    one, other = (task.splits["train"][0] for task in part.tasks.values())
    assert one is other
    assert len(one) == round(0.5 * len(yeast.tasks["class1"].splits["train"][1]))


@pytest.mark.parametrize("shared", [0.0, 0.25, 1.0])
def test_an_overlap_is_the_share_of_inputs_that_both_have(yeast: Problem, shared: float) -> None:
    # every gene is told by a number of its own
    inputs, _ = yeast.tasks["class1"].splits["train"]
    inputs[:, 0] = torch.arange(len(inputs))
    found = overlap(yeast, shared)
    half = len(inputs) // 2
    first, second = (task.splits["train"] for task in found.tasks.values())
    assert len(first[0]) == len(second[0]) == half
    assert not found.shared_inputs
    both = {*first[0][:, 0].tolist()} & {*second[0][:, 0].tolist()}
    assert len(both) == round(shared * half)
    # each keeps its own targets of its own genes
    genes = second[0][:, 0].long()
    assert torch.equal(second[1], yeast.tasks["class2"].splits["train"][1][genes])


def test_one_task_alone_has_what_it_has_beside_another(yeast: Problem, data: Path) -> None:
    alone = overlap(setting("yeast").build("class1", 0), 0.5)
    beside = overlap(yeast, 0.5).tasks["class1"]
    assert torch.equal(alone.tasks["class1"].splits["train"][0], beside.splits["train"][0])


def test_examples_on_disk_are_read_by_row(data: Path) -> None:
    celeba = keep(setting("celeba").build("", 0), 0.5)
    inputs = next(iter(celeba.tasks.values())).splits["train"][0]
    assert isinstance(inputs, Rows)
    whole = next(iter(setting("celeba").build("", 0).tasks.values())).splits["train"][0]
    assert torch.equal(inputs[torch.tensor([1, 0])], whole[torch.tensor([1, 0])])


def test_wrong_portions_are_refused(yeast: Problem) -> None:
    digits = setting("digits").build("+same", 0)
    for share, sentence in (
        ({"third": 0.5}, "share names 'third', which is no task; there are first, second"),
        (0.0, "share of first is 0; give one above 0 and up to 1"),
        (1.1, "share of first is 1.1"),
    ):
        with pytest.raises(TrajlabError, match=sentence):
            keep(digits, share)
    with pytest.raises(TrajlabError, match="one share holds for all; give one number"):
        keep(yeast, {"class1": 0.5})
    with pytest.raises(TrajlabError, match=r"overlap=1\.5; give a share"):
        overlap(yeast, 1.5)
    for problem in (digits, setting("yeast").build("", 0)):
        with pytest.raises(TrajlabError, match="a condition of one or two of its tasks"):
            overlap(problem, 0.5)


def test_rows_of_what_stays_on_disk_are_those_that_were_chosen() -> None:
    kept = Rows(torch.arange(10) * 11, torch.tensor([4, 2, 7]))
    assert len(kept) == 3
    assert kept[torch.tensor([2, 0])].tolist() == [77, 44]
