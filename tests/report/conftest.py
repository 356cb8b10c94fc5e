"""Runs of two ways of training, of which one trains a second task."""

import pytest

from tests.report.test_page import record
from trajlab.store import Runs, load


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    folder = tmp_path_factory.mktemp("charts")
    for seed in range(3):
        record(folder / f"single{seed}.h5", "single", seed, ["left"])
        record(folder / f"uniform{seed}.h5", "uniform", seed, ["left", "right"])
    return load(folder)
