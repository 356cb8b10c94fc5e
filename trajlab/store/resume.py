"""What a session that goes on with a run takes over from those before it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store import parts
from trajlab.store.header import Header, plain
from trajlab.store.snapshot import Snapshot


def resumed(path: Path, before: Snapshot, header: Header, allow_changes: bool) -> Header:
    """Return the header with which a session goes on.

    Parameters
    ----------
    path
        The run.
    before
        What is there of it.
    header
        What the session says of itself.
    allow_changes
        Whether metadata and shared parameters may differ from what was recorded.

    Raises
    ------
    TrajlabError
        If the tasks differ, or what must not.
    """
    earlier = before.header
    metadata = plain(header.metadata) or earlier.metadata
    if earlier.tasks != header.tasks:
        raise TrajlabError(
            f"{path} was recorded with tasks {earlier.tasks}, not {header.tasks}; resume with the "
            f"same, or give another name"
        )
    changed = _differences(earlier.metadata, metadata)
    if header.shared and earlier.shared and earlier.shared != header.shared:
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
        shared=header.shared or earlier.shared,
        metadata=metadata,
        sessions=earlier.sessions + header.sessions,
        last_part=max(earlier.last_part, *parts.numbers(path), 0),
    )


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in what two configurations differ; NaN is equal to NaN."""
    return [
        f"{key}={before.get(key)!r}, not {now.get(key)!r}"
        for key in dict.fromkeys([*before, *now])
        if key not in before
        or key not in now
        or json.dumps(before[key], sort_keys=True) != json.dumps(now[key], sort_keys=True)
    ]
