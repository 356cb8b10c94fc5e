"""Checkpoints of a run in training, beside its trajectory file."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from trajlab.errors import TrajlabError, warn
from trajlab.store.parts import exists, sync_folder


def file(path: Path) -> Path:
    """Return where the checkpoint of the run at `path` lies."""
    return path.with_suffix(".checkpoint")


def save(path: Path, state: dict[str, Any]) -> None:
    """Save a checkpoint of the run at `path`; a kill or a full disk leaves the one before.

    Parameters
    ----------
    path
        The trajectory file.
    state
        Tensors, numbers, strings and containers of them.

    Raises
    ------
    TrajlabError
        If the disk refuses.
    """
    content = io.BytesIO()  # torch tells a full disk by an error that does not say so
    torch.save(state, content)
    temporary = file(path).with_name(file(path).name + ".tmp")
    try:
        with temporary.open("wb") as opened:
            opened.write(content.getbuffer())
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(file(path))
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise TrajlabError(
            f"{file(path)} cannot be written ({error.strerror}); make room or give permission, and "
            "train again: it goes on from the checkpoint before"
        ) from error
    sync_folder(path.parent)


def load(path: Path) -> dict[str, Any] | None:
    """Return the last checkpoint of the run at `path`; None if there is no such run or checkpoint.

    A damaged one is warned of, and there is none: the run begins again.

    Parameters
    ----------
    path
        The trajectory file.
    """
    if not (exists(path) and file(path).exists()):
        return None
    try:
        state: dict[str, Any] = torch.load(file(path), weights_only=True)
    except (EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        warn(f"{file(path)} is no whole checkpoint ({type(error).__name__}); the run begins again")
        return None
    return state
