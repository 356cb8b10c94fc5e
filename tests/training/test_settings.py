"""Settings: what every one keeps, from small files in the layout of the real ones."""

import copy
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from trajlab.errors import TrajlabError
from trajlab.training.evaluation import evaluate
from trajlab.training.models import Shape
from trajlab.training.setting import Problem
from trajlab.training.settings import SETTINGS, multi_fashion, setting


def test_data_that_cannot_be_downloaded_are_missed_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAJLAB_DATA", str(tmp_path))
    with pytest.raises(TrajlabError, match=r"exam is not in .*write it with the Python package"):
        setting("exam").build("", 0)


FILES = [name for name in SETTINGS if name != "digits"]


@pytest.mark.parametrize("name", FILES)
def test_a_batch_goes_through_and_has_losses_and_metrics(name: str, data: Path) -> None:
    found = setting(name)
    problem = found.build("", 0)
    assert tuple(problem.tasks) == found.tasks("")
    for key, task in problem.tasks.items():
        inputs, targets = task.splits["train"]
        rows = torch.arange(min(2, len(targets)))
        with torch.no_grad():
            output = problem.model({key: inputs[rows]})[key]
        assert task.loss(output, targets[rows]).shape == (len(rows),)
        for metric in task.metrics.values():
            assert metric.count(output, targets[rows]).isfinite().all()
        if task.correct:
            assert task.correct(output, targets[rows]).dtype == torch.bool


@pytest.mark.parametrize(
    ("name", "condition", "number", "outputs"),
    [
        ("digits", "+same", 1, 10),
        ("FashionMTL", "+noisy", 1, 10),
        ("mnists", "digits", 1, 10),
        ("multi-fashion", "right", 1, 10),
        ("yeast", "class14", 13, 1),
        ("water-quality", "site37", 36, 1),
        ("exam", "school65", 65, 1),
        ("chem97", "area131", 131, 1),
        ("cifar-100", "vehicles_2", 19, 5),
        ("celeba", "Young", 39, 1),
        ("glue", "MNLI", 5, 3),
        ("cityscapes", "depth", 1, 1),
    ],
)
def test_a_head_begins_as_its_run_s_seed_and_its_task_s_number_have_it(
    name: str, condition: str, number: int, outputs: int, data: Path
) -> None:
    """So no two heads of seeds and tasks begin alike, and a run trained anew has its numbers."""
    model = setting(name).build(condition, 3).model
    *_, (task, head) = model.heads.items()
    layer = next(m for m in head.modules() if isinstance(m, nn.Linear | nn.Conv2d))
    assert len(layer.weight) == outputs, task
    again = copy.deepcopy(layer)
    torch.manual_seed(3000 + number)
    again.reset_parameters()
    assert torch.equal(layer.weight, again.weight)
    if name in ("celeba", "glue", "cityscapes", "cifar-100"):
        return  # whose trunks are not of plain layers, or begin trained
    first = next(m for m in model.trunk.modules() if isinstance(m, nn.Linear | nn.Conv2d))
    again = copy.deepcopy(first)
    torch.manual_seed(3)
    again.reset_parameters()
    assert torch.equal(first.weight, again.weight)


NAMES = {  # in the order of the archives, whose numbers the classes have
    "cifar-100": """
        aquatic_mammals fish flowers food_containers fruit_and_vegetables
        household_electrical_devices household_furniture insects large_carnivores
        large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
        medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1
        vehicles_2
    """,
    "celeba": """
        5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose
        Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee
        Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes
        No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling
        Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
        Wearing_Necktie Young
    """,
    "glue": "CoLA SST-2 MRPC QQP STS-B MNLI QNLI RTE",
}


@pytest.mark.parametrize("name", NAMES)
def test_tasks_are_called_as_those_who_published_them_call_them(name: str) -> None:
    assert setting(name).tasks("") == tuple(NAMES[name].split())


@pytest.mark.parametrize("name", SETTINGS)
def test_a_trunk_has_the_shape_asked_for_where_it_has_one_to_set(name: str, data: Path) -> None:
    found = setting(name)
    condition = found.tasks("")[0] if name.startswith(("exam", "chem", "water")) else ""
    if name in ("cifar-100", "celeba", "cityscapes", "glue"):
        with pytest.raises(TrajlabError, match="has neither width, depth nor dropout to set"):
            found.problem(condition, 0, shape=Shape(width=2.0))
        return

    def layers(problem: Problem) -> list[nn.Linear | nn.Conv2d]:
        return [m for m in problem.model.trunk.modules() if isinstance(m, nn.Linear | nn.Conv2d)]

    plain = found.problem(condition, 0)
    shaped = found.problem(condition, 0, shape=Shape(2.0, 2, 0.25))
    assert len(layers(shaped)) > len(layers(plain))
    assert len(layers(shaped)[0].weight) == 2 * len(layers(plain)[0].weight)
    dropped = {m.p for m in shaped.model.trunk.modules() if isinstance(m, nn.Dropout)}
    assert dropped == {0.25}
    (key, task), *_ = shaped.tasks.items()
    with torch.no_grad():
        shapes = [
            own.model({key: task.splits["test"][0][torch.arange(2)]}) for own in (plain, shaped)
        ]
    assert shapes[0][key].shape == shapes[1][key].shape


BINARY, NUMBER, CLASSES = "Bernoulli", "Gaussian", "logits"
KINDS = {  # how a task's outputs are scored, and the metrics
    "CoLA": (BINARY, {"matthews"}),
    "SST-2": (BINARY, {"accuracy"}),
    "MRPC": (BINARY, {"accuracy", "f1"}),
    "QQP": (BINARY, {"accuracy", "f1"}),
    "STS-B": (NUMBER, {"pearson"}),
    "MNLI": (CLASSES, {"accuracy"}),
    "QNLI": (BINARY, {"accuracy"}),
    "RTE": (BINARY, {"accuracy"}),
    "Male": (BINARY, {"accuracy", "f1"}),
}


def test_each_task_has_the_loss_the_likelihood_and_the_metrics_of_its_kind(data: Path) -> None:
    tasks = setting("glue").build("", 0).tasks | setting("celeba").build("Male", 0).tasks
    assert tasks.keys() == KINDS.keys()
    outputs, labels = torch.tensor([0.5, -2.0, 1.0]), torch.tensor([1.0, 1.0, 0.0])
    logits, classes = torch.tensor([[1.0, 2.0, -1.0], [0.0, 3.0, 0.5]]), torch.tensor([1, 2])
    for name, task in tasks.items():
        kind, metrics = KINDS[name]
        assert set(task.metrics) == metrics
        if kind == CLASSES:
            wanted = logits.exp().sum(1).log() - torch.tensor([2.0, 0.5])
            torch.testing.assert_close(task.loss(logits, classes), wanted)
            assert task.likelihood(logits) is logits
            assert task.correct is not None
            assert task.correct(logits, classes).tolist() == [True, False]
            continue
        assert type(task.likelihood(outputs)).__name__ == kind
        if kind == NUMBER:
            expected = torch.tensor([0.125, 4.5, 0.5])
            assert task.correct is None
        else:
            expected = torch.log1p(torch.exp(outputs * torch.tensor([-1.0, -1.0, 1.0])))
            assert task.correct is not None
            assert task.correct(outputs, labels).tolist() == [True, False, False]
        torch.testing.assert_close(task.loss(outputs, labels), expected)


def split_sizes(problem: Problem) -> list[dict[str, int]]:
    return [
        {split: len(pair[1]) for split, pair in task.splits.items()}
        for task in problem.tasks.values()
    ]


@pytest.mark.parametrize("name", FILES)
def test_a_task_is_the_same_whatever_is_trained_beside_it(name: str, data: Path) -> None:
    found = setting(name)
    conditions = ("", "+fashion") if name == "FashionMTL" else (found.tasks("")[0], "")
    alone, beside = (found.build(condition, 3) for condition in conditions)
    first = next(iter(alone.tasks))
    for split in ("train", "validation", "test"):
        for one, other in zip(
            alone.tasks[first].splits[split], beside.tasks[first].splits[split], strict=True
        ):
            rows = torch.arange(min(len(one), 20))
            assert torch.equal(one[rows], other[rows])
    ours, theirs = alone.model.state_dict(), beside.model.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert all(min(sizes.values()) > 0 for sizes in split_sizes(beside))


@pytest.mark.parametrize("name", FILES)
def test_missing_data_are_one_sentence_with_every_way(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRAJLAB_DATA", raising=False)
    monkeypatch.setattr("trajlab.training.data.DataSet._in_module", lambda self: None)
    with pytest.raises(TrajlabError, match="give its folder as root, set TRAJLAB_DATA") as error:
        setting(name).build("", 0, tmp_path / "nothing")
    (sentence,) = str(error.value).splitlines()
    assert str(tmp_path / "nothing") in sentence
    assert re.search(r", or (install|write|first download|download) ", sentence)


def test_both_tasks_of_images_choose_among_ten_classes(data: Path) -> None:
    model = setting("FashionMTL").build("+fashion", 0).model
    sizes = {name: list(head.parameters())[-1].shape for name, head in model.heads.items()}
    assert sizes == {"first": (10,), "second": (10,)}


def test_noise_is_a_permutation_of_the_labels_and_pooled_has_both_halves(data: Path) -> None:
    fashion = setting("FashionMTL")
    noisy, true = (fashion.build(c, 0).tasks["second"] for c in ("+noisy", "+fashion"))
    ours, theirs = noisy.splits["train"][1], true.splits["train"][1]
    assert torch.equal(ours.sort().values, theirs.sort().values)
    assert not torch.equal(ours, theirs)
    assert torch.equal(noisy.splits["test"][1], true.splits["test"][1])
    (pooled,) = fashion.build("pooled", 0).tasks.values()
    assert len(pooled.splits["train"][1]) == 100
    assert len(pooled.splits["validation"][1]) == 10


def test_overlaid_images_share_inputs_and_hold_both(data: Path) -> None:
    problem = setting("multi-fashion").build("", 0)
    left, right = problem.tasks.values()
    assert problem.shared_inputs
    assert left.splits["train"][0] is right.splits["train"][0]
    assert not torch.equal(left.splits["test"][1], right.splits["test"][1])
    # in the upper left corner the left image alone counts
    blank = np.zeros((2, 28, 28), np.uint8)
    blank[0] = 255
    both = multi_fashion._overlay(blank, np.array([0, 1]), np.array([1, 0]))
    assert both[0, 0, 0, 0] == pytest.approx(1, abs=0.01)
    assert both[0, 0, -1, -1] == pytest.approx(0, abs=0.01)
    assert both[1, 0, 0, 0] == pytest.approx(0, abs=0.01)
    assert both[1, 0, -1, -1] == pytest.approx(1, abs=0.01)


def test_subsets_are_named_tasks_and_others_are_refused(data: Path) -> None:
    yeast = setting("yeast")
    assert tuple(yeast.build("class3+class1", 0).tasks) == ("class3", "class1")
    for wrong in ("class15", "class1+class1"):
        with pytest.raises(TrajlabError, match="must join distinct task names"):
            yeast.tasks(wrong)


def test_shared_inputs_are_evaluated_once_for_all_tasks(data: Path) -> None:
    problem = setting("yeast").build("", 0)
    passes: list[int] = []
    problem.model.trunk.register_forward_hook(lambda *call: passes.append(len(call[2])))
    together = evaluate(problem, "test")
    assert sum(passes) == 700
    for name, task in problem.tasks.items():
        alone = evaluate(replace(problem, tasks={name: task}), "test")[name]
        metrics = {"loss", "accuracy", "f1", "average_precision", "correct"}
        assert together[name].keys() == alone.keys() == metrics
        for key, value in alone.items():
            assert np.array_equal(value, together[name][key])
