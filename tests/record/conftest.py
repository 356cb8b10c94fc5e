"""A model of two tasks, and where its run goes."""

from pathlib import Path

import pytest

from tests.models import TwoHeads


@pytest.fixture
def model() -> TwoHeads:
    return TwoHeads()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.h5"
