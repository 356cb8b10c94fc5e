"""Read what the Hugging Face Trainer keeps in ``trainer_state.json``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.logged import Found, LoggedRun, Rows, Unreadable, read_each
from trajlab.store.importers.texts import read_text

State = tuple[int, Path, list[dict[str, Any]]]
"""The step at which a state was saved, its file, and the rows of its log."""


def read_transformers(path: Path) -> Iterator[Found]:
    """Return a run for each output folder below: its latest checkpoint's state.

    A file that is not the Trainer's is `Unreadable`.
    """
    latest: dict[Path, State] = {}
    for file in [path] if path.is_file() else sorted(path.rglob("trainer_state.json")):
        own = file.parent.parent if file.parent.name.startswith("checkpoint-") else file.parent
        try:
            state = _state(file)
        except TrajlabError as error:
            yield Unreadable(str(error))
        else:
            latest[own] = max(latest.get(own, state), state, key=lambda s: s[0])
    yield from read_each(latest, lambda own: _read(path, own, latest[own]))


def _read(path: Path, own: Path, state: State) -> Iterator[LoggedRun]:
    _, file, history = state
    rows, without = Rows(), 0
    for row in history:
        step = row.get("step")
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            without += 1
            continue
        for key, value in row.items():
            if key != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                rows.add(key, step, float(value))
    if not rows.series:
        raise TrajlabError(f"{file} has no row with a step and a number in its log_history")
    notes = [f"{without} of its rows have no step and are left out"] if without else []
    inside = path.is_dir() and own != path and path in own.parents
    name = own.relative_to(path).as_posix() if inside else own.name
    yield LoggedRun(name, {}, rows.series, notes=notes, twice=rows.twice)


def _state(file: Path) -> State:
    try:
        state = json.loads(read_text(file))
    except ValueError as error:
        if isinstance(error, TrajlabError):
            raise
        raise TrajlabError(f"{file} is not JSON: {error}") from error
    step = state.get("global_step") if isinstance(state, dict) else None
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(step, int) or not isinstance(history, list):
        raise TrajlabError(f"{file} has no global_step and log_history: it is no Trainer's state")
    return step, file, [row for row in history if isinstance(row, dict)]
