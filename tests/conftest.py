"""One thread a process: the tests' tensors are small, and two workers share the cores.

No property test has a deadline: a test never asserts a time.
"""

import os

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch or NumPy
