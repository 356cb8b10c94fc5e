"""Read what the Hugging Face Trainer keeps in ``trainer_state.json``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.series import LoggedRun


def read_transformers(path: Path) -> Iterator[LoggedRun]:
    """Return a run for each output folder below: its latest checkpoint's state.

    Raises
    ------
    TrajlabError
        If a file is not the Trainer's.
    """
    latest: dict[Path, tuple[int, Path]] = {}
    for file in [path] if path.is_file() else sorted(path.rglob("trainer_state.json")):
        own = file.parent.parent if file.parent.name.startswith("checkpoint-") else file.parent
        latest[own] = max(latest.get(own, (-1, file)), (_state(file)["global_step"], file))
    for own, (_, file) in latest.items():
        series: dict[str, dict[int, float]] = {}
        for row in _state(file)["log_history"]:
            for key, value in row.items():
                if key != "step" and isinstance(value, int | float):
                    series.setdefault(key, {})[row["step"]] = float(value)
        inside = path.is_dir() and own != path and path in own.parents
        yield LoggedRun(own.relative_to(path).as_posix() if inside else own.name, {}, series)


def _state(file: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise TrajlabError(f"{file} is not JSON: {error}") from error
    if "log_history" not in state or "global_step" not in state:
        raise TrajlabError(f"{file} has no log_history, so it is not a Trainer's state")
    return state
