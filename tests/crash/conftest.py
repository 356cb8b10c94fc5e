"""A folder in memory for runs that are killed, torn or damaged many times."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.place import memory


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory, see `memory`."""
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        yield Path(folder)
