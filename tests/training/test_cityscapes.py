"""Cityscapes: the official files are read, and both tasks are trained on the same scenes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trajlab import load
from trajlab.errors import TrajlabError
from trajlab.record.probes import FisherTrace
from trajlab.training import Plan, Problem, train
from trajlab.training.settings import cityscapes, setting

# The seven groups of the classes that the benchmark evaluates, by their names on its site.
GROUPS = {
    "road sidewalk": 0,
    "building wall fence": 1,
    "pole light sign": 2,
    "vegetation terrain": 3,
    "sky": 4,
    "person rider": 5,
    "car truck bus train motorcycle bicycle": 6,
}
NUMBERS = {
    **{"road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "light": 19},
    **{"sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25},
    **{"car": 26, "truck": 27, "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33},
}


def test_classes_and_disparities_are_those_of_the_files(data: Path) -> None:
    problem = setting("cityscapes").build("", 0)
    inputs, classes = problem.tasks["segmentation"].splits["test"]
    assert inputs is problem.tasks["depth"].splits["test"][0]
    scene = data / "cityscapes" / "{0}" / "val" / "lindau" / "lindau_000000_000020_{1}.png"

    def pixels(kind: str, end: str) -> np.ndarray:
        with Image.open(str(scene).format(kind, end)) as image:
            return np.asarray(image)[1::2, 1::2]  # of every two by two, the one Pillow takes

    group = {NUMBERS[name]: n for names, n in GROUPS.items() for name in names.split()}
    wanted = [
        [group.get(int(one), -1) for one in row] for row in pixels("gtFine", "gtFine_labelIds")
    ]
    rows = torch.tensor([1])
    assert classes[rows][0].tolist() == wanted
    disparity = problem.tasks["depth"].splits["test"][1][rows][0]
    np.testing.assert_allclose(disparity, pixels("disparity", "disparity") / 2729.07, rtol=1e-6)
    assert inputs[rows].shape == (1, 3, 32, 64)
    assert inputs[rows].abs().max() <= 1


def test_training_scenes_keep_their_labels_in_the_order_of_the_seed(data: Path) -> None:
    names = [f"{city}_000000_{19 + i:06}" for city in ("aachen", "bochum") for i in range(3)]
    for seed in (0, 2):
        problem = setting("cityscapes").build("", seed)
        order = np.random.default_rng(seed).permutation(sorted(names)).tolist()
        for split, chosen in (("validation", order[:2]), ("train", order[2:])):
            rows = torch.arange(len(chosen))
            images, depths = (part[rows] for part in problem.tasks["depth"].splits[split])
            for image, depth, scene in zip(images, depths, chosen, strict=True):
                place = data / "cityscapes" / "{0}" / "train" / scene[:6] / f"{scene}_{{0}}.png"
                with Image.open(str(place).format("disparity")) as file:
                    wanted = np.asarray(file)[1::2, 1::2] / 2729.07
                np.testing.assert_allclose(depth, wanted, rtol=1e-6)
                with Image.open(str(place).format("leftImg8bit")) as file:
                    scaled = np.asarray(file.resize((64, 32), Image.Resampling.BILINEAR)) / 127.5
                np.testing.assert_allclose(image.permute(1, 2, 0), scaled - 1, atol=1e-6)


def test_maps_are_scaled_up_between_the_middles_of_pixels(data: Path) -> None:
    head = cityscapes._Pixels(1)
    with torch.no_grad():
        head.last.weight.fill_(1 / 256)
        head.last.bias.fill_(2)
        features = torch.arange(8.0).reshape(1, 1, 1, 8).expand(1, 256, 4, 8)
        maps = head(features)
    assert maps.shape == (1, 32, 64)
    along = np.clip((np.arange(64) + 0.5) / 8 - 0.5, 0, 7) + 2
    np.testing.assert_allclose(maps[0, 5], along, rtol=1e-5)


def test_validation_is_taken_from_the_training_set(data: Path) -> None:
    (task,) = setting("cityscapes").build("depth", 0).tasks.values()
    assert {name: len(pair[0]) for name, pair in task.splits.items()} == {
        "train": 4,
        "validation": 2,
        "test": 2,
    }
    images = [task.splits[split][0][torch.arange(2)] for split in ("train", "validation", "test")]
    assert len({image.numpy().tobytes() for image in torch.cat(images)}) == 6


def test_an_epoch_is_trained_and_scored(data: Path, tmp_path: Path) -> None:
    def probes(problem: Problem) -> list[FisherTrace]:
        rows = torch.arange(2)
        pairs = {name: task.splits["train"] for name, task in problem.tasks.items()}
        batch = {name: (x[rows], y[rows]) for name, (x, y) in pairs.items()}
        return [FisherTrace(every="epoch", data=[batch])]

    plan = Plan(setting("cityscapes"), "", "uniform", 0, 1, 2, 0.01, 0.9)
    train(plan, tmp_path / "run.h5", probes=probes)
    (run,) = load(tmp_path / "run.h5")
    assert run.tasks == ["segmentation", "depth"]
    table = run.table("evaluations/test")
    directions = {"miou": True, "pixel_accuracy": True, "mae": False, "relative_error": False}
    for metric, higher_is_better in directions.items():
        assert table.column_attributes(metric)["higher_is_better"] == higher_is_better
        own = "segmentation" if higher_is_better else "depth"
        known = np.isfinite(table[metric]).all(0)
        assert known.tolist() == [task == own for task in run.tasks]
    assert np.isfinite(table["loss"]).all()
    assert (run.table("fisher")["trace"] > 0).all()


def test_a_part_without_images_is_one_sentence(data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(data / "cityscapes", tmp_path / "cityscapes")
    shutil.rmtree(folder / "leftImg8bit" / "val")
    with pytest.raises(TrajlabError, match=r"leftImg8bit/val has no images; unpack Cityscapes"):
        setting("cityscapes").build("", 0, folder)
