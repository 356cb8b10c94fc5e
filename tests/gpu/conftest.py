"""Everything here is made on the CUDA device; without one, skipped with a sentence."""

import os
from collections.abc import Iterator

import pytest
import torch

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS is not reproducible


@pytest.fixture(autouse=True)
def cuda() -> Iterator[None]:
    """Make tensors on the GPU, by algorithms that give the same bits each time."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device: run make gpu-check on a machine that has one")
    torch.use_deterministic_algorithms(True, warn_only=True)
    with torch.device("cuda"):
        yield
    torch.use_deterministic_algorithms(False)
