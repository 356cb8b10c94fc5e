"""Cityscapes: segmentation into seven classes and inverse depth of the same street scenes.

As in Liu et al. (2019), End-to-end multi-task learning with attention: seven classes, images of
256 × 128 pixels; here made from the official files. As in Sener and Koltun (2018), Multi-task
learning as multi-objective optimization: disparity stands for inverse depth, in units of its
spread. The official test set keeps its labels, so results are of the validation set, and validation
is done on images that are taken from the training set. Images are not augmented.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trajlab.errors import TrajlabError
from trajlab.measure.examples.likelihood import Categorical, Gaussian
from trajlab.training.conditions import Subsets
from trajlab.training.data import DataSet
from trajlab.training.deeplab import deeplab_v3
from trajlab.training.dense import (
    UNLABELLED,
    depth_error,
    depth_loss,
    mean_iou,
    pixel_accuracy,
    relative_depth_error,
    segmentation_loss,
)
from trajlab.training.image_files import ImageFiles
from trajlab.training.metrics import Metric
from trajlab.training.setting import MultiTaskModel, Problem, Setting, Split, Task, seeded

_VALIDATION = 475  # of 2,975 images; no usual batch size leaves a single one of the other 2,500
_SIZE = (256, 128)
_FEATURES = 256
_CHANNELS = {"segmentation": 7, "depth": 1}
_SPREAD = 2729.07  # of disparity as it is stored, by Sener and Koltun
# Numbers of the official classes that are evaluated, in their groups: flat, construction, object,
# nature, sky, human, vehicle.
_GROUPS = ((7, 8), (11, 12, 13), (17, 19, 20), (21, 22), (23,), (24, 25), (26, 27, 28, 31, 32, 33))
_CLASS = torch.full((256,), UNLABELLED)
for _number, _group in enumerate(_GROUPS):
    _CLASS[list(_group)] = _number

_FIRST = "aachen/aachen_000000_000019"
CITYSCAPES = DataSet(
    name="cityscapes",
    files={
        f"leftImg8bit/train/{_FIRST}_leftImg8bit.png": "",
        f"gtFine/train/{_FIRST}_gtFine_labelIds.png": "",
        f"disparity/train/{_FIRST}_disparity.png": "",
    },
    package="first download and unpack leftImg8bit_trainvaltest.zip, gtFine_trainvaltest.zip and "
    "disparity_trainvaltest.zip from https://www.cityscapes-dataset.com",
)
_tasks = Subsets("cityscapes", tuple(_CHANNELS))


def _scaled(pixels: NDArray[Any]) -> Tensor:
    """Return images (n, 3, height, width) between -1 and 1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1


def _classes(pixels: NDArray[Any]) -> Tensor:
    return _CLASS[torch.from_numpy(pixels).long()]


def _disparities(pixels: NDArray[Any]) -> Tensor:
    return torch.from_numpy(pixels) / _SPREAD


class _Pixels(nn.Module):
    """A convolution of 1 × 1 and its maps scaled up to the images'; a single channel is dropped."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.last = nn.Conv2d(_FEATURES, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        size = _SIZE[::-1]
        maps = interpolate(self.last(features), size, mode="bilinear", align_corners=False)
        return maps.squeeze(1)


def _scenes(folder: Path, part: str) -> list[str]:
    """Return the names of a part's images, ``part/city/scene``."""
    end = "_leftImg8bit.png"
    paths = sorted((folder / "leftImg8bit" / part).glob(f"*/*{end}"))
    if not paths:
        raise TrajlabError(f"{folder / 'leftImg8bit' / part} has no images; unpack Cityscapes anew")
    return [f"{part}/{path.parent.name}/{path.name.removesuffix(end)}" for path in paths]


# A task's folder, the end of its files' names, and how they are read.
_FILES: dict[str, tuple[str, str, str, Callable[[NDArray[Any]], Tensor]]] = {
    "segmentation": ("gtFine", "gtFine_labelIds", "L", _classes),
    "depth": ("disparity", "disparity", "I", _disparities),
}
_SCORES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], dict[str, Metric]]] = {
    "segmentation": (segmentation_loss, {"miou": mean_iou, "pixel_accuracy": pixel_accuracy}),
    "depth": (depth_loss, {"mae": depth_error, "relative_error": relative_depth_error}),
}
# Numbers are drawn from a Gaussian, as Mueller et al. (2024) do for regression, whatever the loss.
_LIKELIHOODS = {"segmentation": Categorical, "depth": Gaussian}


def _build(condition: str, seed: int, root: Path | None = None) -> Problem:
    names = _tasks(condition)
    folder = CITYSCAPES.folder(root)
    own: list[str] = np.random.default_rng(seed).permutation(_scenes(folder, "train")).tolist()
    scenes = {
        "train": own[_VALIDATION:],
        "validation": own[:_VALIDATION],
        "test": _scenes(folder, "val"),
    }

    def paths(split: str, kind: str, end: str) -> list[Path]:
        return [folder / kind / f"{scene}_{end}.png" for scene in scenes[split]]

    images = {
        split: ImageFiles(paths(split, "leftImg8bit", "leftImg8bit"), _SIZE, "RGB", _scaled)
        for split in scenes
    }
    tasks, heads = {}, {}
    for name in names:
        kind, end, mode, tensor = _FILES[name]
        splits: dict[str, Split] = {
            split: (
                images[split],
                ImageFiles(paths(split, kind, end), _SIZE, mode, tensor, exact=True),
            )
            for split in scenes
        }
        tasks[name] = Task(splits, *_SCORES[name], likelihood=_LIKELIHOODS[name])
        heads[name] = seeded(
            partial(_Pixels, _CHANNELS[name]), 1000 * seed + _tasks.names.index(name)
        )
    return Problem(tasks, MultiTaskModel(seeded(deeplab_v3, seed), heads), shared_inputs=True)


cityscapes = Setting(
    _tasks,
    _build,
    source="Cityscapes (Cordts et al. 2016), fine annotations; needs a registration",
    defaults={"epochs": 150},
)
