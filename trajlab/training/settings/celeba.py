"""CelebA: 40 binary attributes of the same faces.

As in Sener and Koltun (2018), Multi-task learning as multi-objective optimization: the aligned
images are scaled to 64 × 64 pixels; the parts are the official ones, the same for every seed.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from trajlab.errors import TrajlabError
from trajlab.measure.examples.likelihood import Bernoulli
from trajlab.training.conditions import Subsets
from trajlab.training.data import DataSet
from trajlab.training.image_files import ImageFiles
from trajlab.training.metrics import binary_accuracy, correct_sign, f1
from trajlab.training.models import one_number
from trajlab.training.residual import resnet18
from trajlab.training.setting import MultiTaskModel, Problem, Setting, Task, seeded

_SIZE = (64, 64)
_FEATURES = 512
_PARTS = {"train": 0, "validation": 1, "test": 2}

CELEBA = DataSet(
    name="celeba",
    files={
        "list_attr_celeba.txt": "",
        "list_eval_partition.txt": "",
        "img_align_celeba/000001.jpg": "",
    },
    package="first download the two lists and img_align_celeba.zip, to unpack beside them, from "
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
)
ATTRIBUTES = """
5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose
Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee
Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard
Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair
Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young
"""
_tasks = Subsets("celeba", tuple(ATTRIBUTES.split()))


def _scaled(pixels: NDArray[Any]) -> Tensor:
    """Return images (n, 3, height, width) between -1 and 1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1


def _loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(outputs, targets, reduction="none")


def _read(folder: Path) -> tuple[pd.DataFrame, NDArray[Any]]:
    """Return the attributes (image, attribute), -1 or 1, and each image's part."""
    try:
        table = pd.read_csv(folder / "list_attr_celeba.txt", sep=r"\s+", skiprows=1)
        parts = pd.read_csv(
            folder / "list_eval_partition.txt", sep=r"\s+", header=None, index_col=0
        )
        return table[list(_tasks.names)], parts.loc[table.index, 1].to_numpy()
    except (KeyError, ValueError) as error:
        raise TrajlabError(
            f"the lists of attributes and parts in {folder} are not CelebA's; get them anew"
        ) from error


def _build(condition: str, seed: int, root: Path | None = None) -> Problem:
    folder = CELEBA.folder(root)
    table, part = _read(folder)
    rows = {split: np.flatnonzero(part == number) for split, number in _PARTS.items()}
    faces = {
        split: ImageFiles(
            [folder / "img_align_celeba" / name for name in table.index[chosen]],
            _SIZE,
            "RGB",
            _scaled,
        )
        for split, chosen in rows.items()
    }
    tasks, heads = {}, {}
    for name in _tasks(condition):
        labels = torch.from_numpy((table[name].to_numpy() > 0).astype(np.float32))
        splits = {split: (faces[split], labels[chosen]) for split, chosen in rows.items()}
        metrics = {"accuracy": binary_accuracy, "f1": f1}
        tasks[name] = Task(splits, _loss, metrics, correct_sign, Bernoulli)
        heads[name] = seeded(
            lambda: one_number(_FEATURES),
            1000 * seed + _tasks.names.index(name),
        )
    return Problem(tasks, MultiTaskModel(seeded(resnet18, seed), heads), shared_inputs=True)


celeba = Setting(
    _tasks,
    _build,
    source="CelebA (Liu et al. 2015), aligned and cropped images, for research only",
    defaults={"epochs": 50},
)
