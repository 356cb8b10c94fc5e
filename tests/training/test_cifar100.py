"""CIFAR-100: the archive's files are read, and 20 tasks of five classes are trained."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from trajlab import load
from trajlab.errors import TrajlabError
from trajlab.record.probes import TaskGradients
from trajlab.training import Plan, train
from trajlab.training.settings import cifar100, setting


def test_a_superclass_is_a_task_of_its_five_classes(data: Path) -> None:
    problem = setting("cifar-100").build("", 0)
    assert len(problem.tasks) == 20
    assert not problem.shared_inputs
    pixels, superclass, classes = cifar100._read(data / "cifar-100-python" / "test")
    own = superclass == 3  # the layout's rule makes class 7 i mod 20 a member of it
    inputs, targets = problem.tasks["food_containers"].splits["test"]
    assert inputs.shape == (5, 3, 32, 32)
    assert np.unique(classes[own]).tolist() == [9, 29, 49, 69, 89]
    assert torch.equal(targets, torch.from_numpy(classes[own] // 20))
    red = (pixels[own][0, 0] - 129.3) / 68.2
    assert np.allclose(inputs[torch.tensor([0])][0, 0], red, atol=1e-5)


def test_training_and_validation_images_are_all_of_the_training_file(data: Path) -> None:
    (task,) = setting("cifar-100").build("fish", 1).tasks.values()
    parts = [task.splits[split][0][torch.arange(n)] for split, n in _sizes(task.splits).items()]
    found = {part.tobytes() for part in torch.cat(parts[:2]).numpy()}
    pixels, superclass, _ = cifar100._read(data / "cifar-100-python" / "train")
    wanted = {part.tobytes() for part in cifar100._images(pixels[superclass == 1]).numpy()}
    assert [len(part) for part in parts[:2]] == [15, 5]  # and none in both
    assert found == wanted


def _sizes(splits: dict) -> dict[str, int]:
    return {name: len(targets) for name, (_, targets) in splits.items()}


def test_an_epoch_is_trained_and_recorded(data: Path, tmp_path: Path) -> None:
    plan = Plan(setting("cifar-100"), "fish+trees", "uniform", 0, 1, 8, 0.01, 0.9)
    train(plan, tmp_path / "run.h5", probes=lambda problem: [TaskGradients(every=1)])
    (run,) = load(tmp_path / "run.h5")
    assert run.tasks == ["fish", "trees"]
    test = run.table("evaluations/test")
    assert test["accuracy"].shape == (2, 2)
    assert run.table("evaluations/test").column_attributes("accuracy")["higher_is_better"]
    assert np.isfinite(test["loss"]).all()
    gram = run.gram()
    assert gram.shape == (2, 2, 2)
    assert (np.diagonal(gram, axis1=1, axis2=2) > 0).all()


@pytest.mark.parametrize("content", [b"", b"nothing", pickle.dumps({"data": [1]}, 2)])
def test_a_damaged_file_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "train").write_bytes(content)
    with pytest.raises(TrajlabError, match=r"train is no file of CIFAR-100's version for Python"):
        cifar100._read(tmp_path / "train")


def test_a_file_that_would_run_something_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "touched",))

    (tmp_path / "train").write_bytes(pickle.dumps({"data": Evil()}))
    with pytest.raises(TrajlabError, match="is no file of"):
        cifar100._read(tmp_path / "train")
    assert not (tmp_path / "touched").exists()
