"""Beginning a session: the run claimed, and what those before it recorded taken over."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError, warn
from trajlab.store import parts
from trajlab.store.header import Header, plain
from trajlab.store.lock import Lock
from trajlab.store.merge import merge
from trajlab.store.snapshot import take
from trajlab.store.table import Table
from trajlab.store.view import view

MERGE_PARTS = 100  # of so many sessions that were cut off, the next one first makes a sealed file


def claimed(path: Path) -> Lock:
    """Make the folders of a run and take its lock, so that what cannot be written is told at once.

    Raises
    ------
    TrajlabError
        If they cannot be made, or another process records the run.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(path)
        try:
            parts.make_folder(path)
        except BaseException:
            lock.release()
            raise
    except OSError as error:
        raise TrajlabError(
            f"{path} cannot be written ({error.strerror}); give a folder that can"
        ) from error
    return lock


def resumed(path: Path, header: Header, allow_changes: bool) -> tuple[Header, list[Table]]:
    """Return the header with which a session goes on, and the tables that were declared.

    Parameters
    ----------
    path
        The run; the caller holds its lock.
    header
        What the session says of itself.
    allow_changes
        Whether metadata may differ from what was recorded, and shared parameters by more than that
        some are frozen or not.

    Raises
    ------
    TrajlabError
        If the tasks differ, or what must not.
    """
    if len(parts.numbers(path)) >= MERGE_PARTS:
        merge(path, "recording")
    before = take(path)
    for problem in before.problems:
        warn(problem)
    tables = [view(before, name).declared for name in before.tables]
    return _continued(path, before.header, header, allow_changes), tables


def _continued(path: Path, earlier: Header, header: Header, allow_changes: bool) -> Header:
    metadata = plain(header.metadata) or earlier.metadata
    if earlier.tasks != header.tasks:
        raise TrajlabError(
            f"{path} was recorded with tasks {earlier.tasks}, not {header.tasks}; resume with the "
            f"same, or give another name"
        )
    changed = _differences(earlier.metadata, metadata)
    before, now = set(earlier.shared), set(header.shared)
    others = not before <= now and not now <= before  # else some were frozen or unfrozen
    if others:
        changed += _differences(
            {"shared parameters": earlier.shared}, {"shared parameters": header.shared}
        )
    if changed and not allow_changes:
        raise TrajlabError(
            f"{path} was recorded with {', '.join(changed)}; resume with the same, give another "
            f"name, or set allow_changes=True"
        )
    return replace(
        header,
        run_id=earlier.run_id,
        created=earlier.created,
        shared=tuple(dict.fromkeys([*(() if others else earlier.shared), *header.shared])),
        metadata=metadata,
        sessions=earlier.sessions + header.sessions,
        last_part=earlier.last_part,
    )


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in what two configurations differ; NaN is equal to NaN."""
    said = []
    for key in dict.fromkeys([*before, *now]):
        if key not in now:
            said.append(f"{key}={before[key]!r}, not without {key}")
        elif key not in before:
            said.append(f"no {key}, not {key}={now[key]!r}")
        elif json.dumps(before[key], sort_keys=True) != json.dumps(now[key], sort_keys=True):
            said.append(f"{key}={before[key]!r}, not {now[key]!r}")
    return said
