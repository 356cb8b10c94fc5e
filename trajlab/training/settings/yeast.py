"""Yeast: 14 functional classes of the same genes, as 14 binary tasks with shared inputs."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from trajlab.measure.examples.likelihood import Bernoulli
from trajlab.training.conditions import Subsets
from trajlab.training.data import DataSet
from trajlab.training.metrics import average_precision, binary_accuracy, correct_sign, f1
from trajlab.training.models import PLAIN, Shape, mlp, one_number
from trajlab.training.setting import MultiTaskModel, Problem, Setting, Task, seeded

_FEATURES = 103
_TEST, _VALIDATION = 700, 400  # of 2,417 genes; 1,317 are left for training
_TEST_SEED = 0  # one test set for all runs
_WIDTH = 64

YEAST = DataSet(
    name="yeast",
    files={"yeast.csv.gz": "md5:cb8d14ef015eca8cef037ac3b874ef32"},
    url="https://raw.githubusercontent.com/online-ml/river/main/river/datasets/",
    package="install the Python package river (0.26 or newer, --no-deps will do)",
    module=("river", "datasets"),
)
_tasks = Subsets("yeast", tuple(f"class{i}" for i in range(1, 15)))


def _loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(outputs, targets, reduction="none")


def _build(condition: str, seed: int, root: Path | None = None, shape: Shape = PLAIN) -> Problem:
    table = pd.read_csv(YEAST.file("yeast.csv.gz", root)).to_numpy(np.float32)
    held_out = np.random.default_rng(_TEST_SEED).permutation(len(table))
    rest = np.random.default_rng(seed).permutation(held_out[_TEST:])
    rows = {
        "train": rest[_VALIDATION:],
        "validation": rest[:_VALIDATION],
        "test": held_out[:_TEST],
    }
    trained = table[rows["train"], :_FEATURES]
    scaled = (table[:, :_FEATURES] - trained.mean(0)) / trained.std(0)
    inputs = {split: torch.from_numpy(scaled[chosen]) for split, chosen in rows.items()}
    metrics = {"accuracy": binary_accuracy, "f1": f1, "average_precision": average_precision}
    tasks, heads = {}, {}
    for name in _tasks(condition):
        index = _tasks.names.index(name)
        labels = table[:, _FEATURES + index]
        splits = {k: (inputs[k], torch.from_numpy(labels[chosen])) for k, chosen in rows.items()}
        tasks[name] = Task(splits, _loss, metrics, correct_sign, Bernoulli)
        # a task's head begins alike whatever is trained beside it
        heads[name] = seeded(lambda: one_number(shape.units(_WIDTH)), 1000 * seed + index)
    trunk = seeded(lambda: mlp(_FEATURES, _WIDTH, shape), seed)
    return Problem(tasks, MultiTaskModel(trunk, heads), shared_inputs=True)


yeast = Setting(
    _tasks,
    _build,
    shapes=True,
    source="Yeast (Elisseeff and Weston 2001), MULAN's version, in the Python package river",
)
