"""Data for the settings."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.training import layouts
from trajlab.training.deeplab import deeplab_v3
from trajlab.training.settings import cifar100, cityscapes, fashion_mtl, glue, mnists, multi_fashion


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all data sets; made once."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("fashion-mnist", "mnist"):
        layouts.mnist(folder / name, rng)
    layouts.yeast(folder, rng)
    layouts.water_quality(folder, rng)
    layouts.exam(folder, rng)
    layouts.libreoffice_help(folder, rng)
    layouts.cifar100(folder, rng)
    layouts.celeba(folder, rng)
    layouts.cityscapes(folder, rng)
    layouts.glue(folder, rng)
    layouts.roberta(folder / "roberta")
    return folder


@pytest.fixture
def data(files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all data sets, where settings look for it, with sizes to match."""
    monkeypatch.setenv("TRAJLAB_DATA", str(files))
    monkeypatch.setattr(fashion_mtl, "_TRAIN", 50)
    monkeypatch.setattr(fashion_mtl, "_VALIDATION", 10)
    monkeypatch.setattr(mnists, "_VALIDATION", 20)
    monkeypatch.setattr(multi_fashion, "_VALIDATION", 20)
    monkeypatch.setattr(cifar100, "_VALIDATION", 5)
    monkeypatch.setattr(cityscapes, "_VALIDATION", 2)
    monkeypatch.setattr(glue, "_MODEL", str(files / "roberta"))
    monkeypatch.setattr(cityscapes, "_SIZE", (64, 32))
    monkeypatch.setattr(cityscapes, "deeplab_v3", partial(deeplab_v3, (1, 1, 1, 1)))
    return files
