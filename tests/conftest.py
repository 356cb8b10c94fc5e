"""One thread a process: the tests' tensors are small, and two workers share the cores.

No property test has a deadline: a test never asserts a time.
"""

import gc
import os

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch or NumPy


def pytest_collection_finish(session: pytest.Session) -> None:
    """Spare the garbage collector what stays to the end: thousands of tests and modules.

    It takes a seventh of the CPU time otherwise.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
