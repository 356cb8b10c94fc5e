"""Where a run came from."""

import platform
import subprocess
import sys
from typing import Any

import numpy as np
import torch
from torch import nn


def provenance(model: nn.Module) -> dict[str, Any]:
    """Describe the process that records.

    Parameters
    ----------
    model : nn.Module
        The model; its first parameter tells the device.

    Returns
    -------
    dict of str to Any
        Versions, platform, device, threads, git commit of the working directory (None outside a
        repository, "-dirty" appended if it has changes), command line, torch's seed.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return {
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "git_commit": _git_commit(),
        "command_line": sys.argv,
        "seed": torch.initial_seed(),
    }


def _git_commit() -> str | None:
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
