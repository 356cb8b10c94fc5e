"""One thread a process: the tests' tensors are small, and two workers share the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch or NumPy
