"""Read what the Hugging Face Trainer keeps in ``trainer_state.json``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.logged import Found, LoggedRun, Unreadable, called, read_each
from trajlab.store.importers.rows import Rows, numbers
from trajlab.store.importers.texts import read_text

_TOKENS = {"num_input_tokens_seen": "tokens"}  # the Trainer's name of a clock

State = tuple[int, Path, list[dict[str, Any]]]
"""The step at which a state was saved, its file, and the rows of its log."""


def read_transformers(path: Path) -> Iterator[Found]:
    """Return a run for each output folder below: its latest checkpoint's state.

    A file that is not the Trainer's is `Unreadable`.
    """
    latest: dict[Path, State] = {}
    for file in [path] if path.is_file() else sorted(path.rglob("trainer_state.json")):
        home = file.parent.parent if file.parent.name.startswith("checkpoint-") else file.parent
        try:
            state = _state(file)
        except TrajlabError as error:
            yield Unreadable(str(error))
        else:
            latest[home] = max(latest.get(home, state), state, key=lambda s: s[0])
    yield from read_each(latest, lambda home: _read(path, home, latest[home]))


def _read(path: Path, home: Path, state: State) -> Iterator[LoggedRun]:
    rows = Rows()
    for row in state[2]:
        step = row.pop("step", None)
        for key, value in row.items():
            for series, number in numbers(_TOKENS.get(key, key), value):
                rows.add(series, step, number)
    yield rows.run(called(path, home), {})


def _state(file: Path) -> State:
    try:
        state = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        if isinstance(error, TrajlabError):
            raise
        raise TrajlabError(f"{file} is not JSON: {error}") from error
    step = state.get("global_step") if isinstance(state, dict) else None
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(step, int) or not isinstance(history, list):
        raise TrajlabError(f"{file} has no global_step and log_history: it is no Trainer's state")
    return step, file, [row for row in history if isinstance(row, dict)]
