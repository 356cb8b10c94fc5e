"""Multi-Fashion: two overlaid pieces of clothing, one task each: shared inputs.

The design of Multi-MNIST (Sabour et al. 2017) as in the Multi-Fashion data of Lin et al. (2019):
one image lies in the upper left, the other in the lower right of a larger one, which is then
scaled down to 28 × 28 pixels. The pairs are drawn anew for each seed, those of the test set once.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trajlab.training.conditions import Subsets
from trajlab.training.data import FASHION_MNIST, Bytes, images
from trajlab.training.metrics import accuracy, correct
from trajlab.training.models import PLAIN, Shape, lenet
from trajlab.training.setting import MultiTaskModel, Problem, Setting, Task, seeded

_VALIDATION = 12_000
_SHIFT = 8  # of the lower right image, in pixels
_TEST_SEED = 0
_tasks = Subsets("multi-fashion", ("left", "right"))


def _overlay(pixels: Bytes, first: np.ndarray, second: np.ndarray) -> Tensor:
    """Return the overlaid images (n, 1, 28, 28), between 0 and 1."""
    size = pixels.shape[1] + _SHIFT
    overlaid = torch.empty(len(first), 1, *pixels.shape[1:])
    for start in range(0, len(first), 10_000):
        part = slice(start, start + 10_000)
        canvas = np.zeros((len(first[part]), 1, size, size), np.uint8)
        canvas[:, 0, :-_SHIFT, :-_SHIFT] = pixels[first[part]]
        corner = canvas[:, 0, _SHIFT:, _SHIFT:]
        np.maximum(corner, pixels[second[part]], out=corner)
        scaled = torch.from_numpy(canvas).float() / 255
        overlaid[part] = interpolate(scaled, pixels.shape[1:], mode="bilinear", antialias=True)
    return overlaid


def _build(condition: str, seed: int, root: Path | None = None, shape: Shape = PLAIN) -> Problem:
    data = images(FASHION_MNIST, root)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data["train"][1]))
    rows = {"train": order[_VALIDATION:], "validation": order[:_VALIDATION]}
    pairs = {split: (chosen, rng.permutation(chosen)) for split, chosen in rows.items()}
    everything = np.arange(len(data["test"][1]))
    pairs["test"] = (everything, np.random.default_rng(_TEST_SEED).permutation(everything))
    inputs, labels = {}, {}
    for split, pair in pairs.items():
        pixels, classes = data["test" if split == "test" else "train"]
        inputs[split] = _overlay(pixels, *pair)
        labels[split] = [torch.from_numpy(classes[chosen]).long() for chosen in pair]
    mean, std = inputs["train"].mean(), inputs["train"].std()
    inputs = {split: (tensor - mean) / std for split, tensor in inputs.items()}
    tasks, heads = {}, {}
    loss = nn.CrossEntropyLoss(reduction="none")
    for name in _tasks(condition):
        index = _tasks.names.index(name)
        splits = {split: (inputs[split], labels[split][index]) for split in pairs}
        tasks[name] = Task(splits, loss, {"accuracy": accuracy}, correct)
        heads[name] = seeded(lambda: nn.Linear(shape.units(84), 10), 1000 * seed + index)
    return Problem(
        tasks, MultiTaskModel(seeded(lambda: lenet(shape=shape), seed), heads), shared_inputs=True
    )


multi_fashion = Setting(
    _tasks,
    _build,
    shapes=True,
    source="Fashion-MNIST (Xiao et al. 2017, MIT), overlaid in pairs",
)
