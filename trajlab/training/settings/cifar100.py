"""CIFAR-100: its 20 superclasses as 20 five-way tasks with images of their own.

Images are not augmented, so that the training loss is that of the images trained on. In training
each task's batch is normalized by itself, in evaluation by the running means of all.
"""

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.training.conditions import Subsets
from trajlab.training.data import DataSet
from trajlab.training.metrics import accuracy, correct
from trajlab.training.residual import resnet18
from trajlab.training.setting import MultiTaskModel, Problem, Setting, Task, seeded

_VALIDATION = 500  # of a superclass's 2,500 images
_FEATURES = 512
_CLASSES = 5
# Of the training images' red, green and blue, from 0 to 255.
_MEAN = torch.tensor([129.3, 124.1, 112.4]).reshape(3, 1, 1)
_STD = torch.tensor([68.2, 65.4, 70.4]).reshape(3, 1, 1)

CIFAR100 = DataSet(
    name="cifar-100-python",
    files={"train": "", "test": ""},
    package="first download and unpack https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
)
_tasks = Subsets(
    "cifar-100",
    (
        "aquatic_mammals",
        "fish",
        "flowers",
        "food_containers",
        "fruit_and_vegetables",
        "household_electrical_devices",
        "household_furniture",
        "insects",
        "large_carnivores",
        "large_man-made_outdoor_things",
        "large_natural_outdoor_scenes",
        "large_omnivores_and_herbivores",
        "medium_mammals",
        "non-insect_invertebrates",
        "people",
        "reptiles",
        "small_mammals",
        "trees",
        "vehicles_1",
        "vehicles_2",
    ),
)
# All that a pickled array needs; a pickle could otherwise run whatever it names.
_ALLOWED = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("numpy") and name in _ALLOWED:
            return _ALLOWED[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels (n, 3, 32, 32), superclass and class (n,)."""
    try:
        with path.open("rb") as file:
            content = _Arrays(file, encoding="latin1").load()  # written by Python 2
        pixels = np.asarray(content["data"], np.uint8).reshape(-1, 3, 32, 32)
        return pixels, np.asarray(content["coarse_labels"]), np.asarray(content["fine_labels"])
    except (EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise TrajlabError(
            f"{path} is no file of CIFAR-100's version for Python; get it anew"
        ) from error


def _images(pixels: np.ndarray) -> Tensor:
    return (torch.from_numpy(pixels).float() - _MEAN) / _STD


def _build(condition: str, seed: int, root: Path | None = None) -> Problem:
    folder = CIFAR100.folder(root)
    parts = {part: _read(folder / part) for part in ("train", "test")}
    _, all_superclasses, all_classes = parts["train"]
    tasks, heads = {}, {}
    for name in _tasks(condition):
        index = _tasks.names.index(name)
        classes = np.unique(all_classes[all_superclasses == index])
        of_task = {}
        for part, (pixels, superclass, fine) in parts.items():
            own = superclass == index
            labels = torch.from_numpy(np.searchsorted(classes, fine[own]))
            of_task[part] = _images(pixels[own]), labels
        inputs, targets = of_task["train"]
        rows = np.random.default_rng([seed, index]).permutation(len(targets))
        splits = {
            "train": (inputs[rows[_VALIDATION:]], targets[rows[_VALIDATION:]]),
            "validation": (inputs[rows[:_VALIDATION]], targets[rows[:_VALIDATION]]),
            "test": of_task["test"],
        }
        loss = nn.CrossEntropyLoss(reduction="none")
        tasks[name] = Task(splits, loss, {"accuracy": accuracy}, correct)
        heads[name] = seeded(lambda: nn.Linear(_FEATURES, _CLASSES), 1000 * seed + index)
    trunk = seeded(partial(resnet18, small=True), seed)
    return Problem(tasks, MultiTaskModel(trunk, heads))


cifar100 = Setting(
    _tasks,
    _build,
    source="CIFAR-100 (Krizhevsky 2009), 20 superclasses of 5 classes",
    defaults={"epochs": 200},
)
