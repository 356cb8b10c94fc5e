"""A small study on scikit-learn's digits."""

from collections.abc import Callable
from pathlib import Path

import pytest

from trajlab.study.file import Study, read

SMALL = """
setting = "digits"
batch_size = 32
learning_rate = 0.05
momentum = 0.9
epochs = 2
"""


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Study]:
    """Write and read a study file: lines to add to a small one, and the folder of its runs."""

    def make(text: str, runs: str = "runs") -> Study:
        file = tmp_path / "study.toml"
        file.write_text(f"runs = '{tmp_path / runs}'\n{SMALL}{text}")
        return read(file)

    return make
