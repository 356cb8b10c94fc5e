"""CelebA: the lists and images are read, and attributes of the same faces are trained."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trajlab import load
from trajlab.errors import TrajlabError
from trajlab.training import Plan, train
from trajlab.training.settings import setting


def test_images_and_attributes_are_those_of_the_files(data: Path) -> None:
    problem = setting("celeba").build("", 0)
    assert len(problem.tasks) == 40
    assert problem.shared_inputs
    folder = data / "celeba"
    lines = (folder / "list_attr_celeba.txt").read_text().splitlines()
    for name, task in problem.tasks.items():
        column = 1 + lines[1].split().index(name)
        for split, first, last in (("train", 0, 12), ("validation", 12, 16), ("test", 16, 20)):
            inputs, targets = task.splits[split]
            assert inputs is problem.tasks["Young"].splits[split][0]
            wanted = [line.split()[column] == "1" for line in lines[2 + first : 2 + last]]
            assert targets[torch.arange(last - first)].tolist() == wanted
    with Image.open(folder / "img_align_celeba" / "000018.jpg") as image:
        pixels = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR), float)
    (found,) = inputs[torch.tensor([1])]
    np.testing.assert_allclose(found.permute(1, 2, 0), pixels / 127.5 - 1, atol=1e-6)


def test_an_epoch_is_trained_and_scored(data: Path, tmp_path: Path) -> None:
    plan = Plan(setting("celeba"), "Male+Smiling", "uniform", 0, 1, 8, 0.01, 0.9)
    train(plan, tmp_path / "run.h5")
    (run,) = load(tmp_path / "run.h5")
    table = run.table("evaluations/test")
    for metric in ("accuracy", "f1"):
        assert table[metric].shape == (2, 2)
        assert table.column_attributes(metric)["higher_is_better"]
    assert np.isfinite(table["loss"]).all()
    assert run.table("losses")["loss"].shape == (2, 2)


def test_lists_of_something_else_are_one_sentence(data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(data / "celeba", tmp_path / "celeba")
    (folder / "list_attr_celeba.txt").write_text("1\nMale\n000001.jpg 1\n")
    with pytest.raises(TrajlabError, match=r"lists of attributes and parts in .* are not CelebA's"):
        setting("celeba").build("", 0, folder)
