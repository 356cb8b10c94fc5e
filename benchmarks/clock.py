"""The clock of benchmarks: process time on a CPU; on a GPU, time until the device has no work."""

import time

import torch


def now() -> float:
    """Return seconds by the clock of the default device."""
    if torch.get_default_device().type != "cuda":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
