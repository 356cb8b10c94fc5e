"""The root attributes of a trajectory file."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from numbers import Integral
from typing import Any, cast

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.store.schema import FORMAT, FORMAT_VERSION
from trajlab.store.table import text

STATUSES = ("recording", "complete", "recovered")
INTEGERS = ("format_version", "last_part")  # attributes; all others are text


@dataclass(frozen=True)
class Session:
    """One process that recorded a run.

    Parameters
    ----------
    started
        UTC time, ISO 8601.
    rewind_to
        The step it resumed from; what earlier sessions recorded from there on is superseded.
    provenance
        Versions, platform, command line, … of the process.
    """

    started: str
    rewind_to: int | None
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class Header:
    """What a file says about its run; every part carries it whole.

    Parameters
    ----------
    run_id, created, status, tasks, shared, metadata
        As in the format: identity, UTC time, one of `STATUSES`, task names in the order of every
        task axis, names of the shared parameters, what tells runs apart.
    sessions
        All sessions up to the one that wrote this file.
    last_part
        Number of the part, or of the last part merged into this file.
    problems
        A sentence for each record that was missing, damaged or foreign when files were merged.
    """

    run_id: str
    created: str
    status: str
    tasks: tuple[str, ...]
    shared: tuple[str, ...]
    metadata: Mapping[str, Any]
    sessions: tuple[Session, ...]
    last_part: int = 0
    trajlab_version: str = ""
    problems: tuple[str, ...] = ()

    def rewound(self, step: int) -> "Header":
        """Return the header of a session that went on from the checkpoint of `step`."""
        *earlier, session = self.sessions
        return replace(self, sessions=(*earlier, replace(session, rewind_to=_step(step))))

    def attributes(self) -> dict[str, Any]:
        """Return the root attributes that say the same."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "trajlab_version": self.trajlab_version,
            "run_id": self.run_id,
            "created": self.created,
            "status": self.status,
            "tasks": list(self.tasks),
            "shared": list(self.shared),
            "metadata": json.dumps(plain(self.metadata)),
            "provenance": json.dumps(plain(self.sessions[-1].provenance)),
            "sessions": json.dumps([plain(vars(session)) for session in self.sessions]),
            "last_part": self.last_part,
            "problems": list(self.problems),
        }


def begun(
    tasks: Sequence[str],
    shared: Sequence[str],
    metadata: Mapping[str, Any] | None,
    provenance: Mapping[str, Any] | None,
    rewind_to: int | None,
) -> Header:
    """Return the header of a run that begins now, as far as nothing of it was recorded before.

    Parameters
    ----------
    tasks, shared, metadata
        As in :class:`Header`.
    provenance, rewind_to
        As in :class:`Session`.

    Raises
    ------
    TrajlabError
        If one of them cannot be stored.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Header(
        run_id=uuid.uuid4().hex,
        created=now,
        status="recording",
        tasks=tuple(map(text, tasks)),
        shared=tuple(map(text, shared)),
        metadata=plain({} if metadata is None else metadata),
        sessions=(Session(now, _step(rewind_to), plain(provenance or {})),),
        trajlab_version=version("trajlab"),
    )


def from_attributes(attribute: Callable[[str], Any], source: str) -> Header:
    """Read root attributes.

    Parameters
    ----------
    attribute
        Returns the attribute of that name: text, a list of text, or one of `INTEGERS`.
    source
        What to call the file.

    Raises
    ------
    TrajlabError
        If they are not a trajectory's, or of a newer format.
    """
    try:
        ours = attribute("format") == FORMAT
    except KeyError:
        ours = False
    if not ours:
        raise TrajlabError(f"{source} is not a trajectory file; trajlab did not write it")
    format_version = attribute("format_version")
    if format_version > FORMAT_VERSION:
        raise TrajlabError(
            f"{source} has format version {format_version} and this trajlab reads up to "
            f"{FORMAT_VERSION}; upgrade trajlab"
        )
    try:
        problems = tuple(attribute("problems"))
    except KeyError:  # a file of version 1
        problems = ()
    header = Header(
        run_id=attribute("run_id"),
        created=attribute("created"),
        status=attribute("status"),
        tasks=tuple(attribute("tasks")),
        shared=tuple(attribute("shared")),
        metadata=json.loads(attribute("metadata")),
        sessions=tuple(Session(**session) for session in json.loads(attribute("sessions"))),
        last_part=attribute("last_part"),
        trajlab_version=attribute("trajlab_version"),
        problems=problems,
    )
    _check(header, source)
    return header


def _check(header: Header, source: str) -> None:
    """Refuse what no writer writes: the file may come from anybody."""
    texts = [header.run_id, header.created, header.status, header.trajlab_version]
    texts += [*header.tasks, *header.shared, *header.problems]
    sessions = header.sessions
    if not (
        all(isinstance(item, str) for item in texts)
        and len(set(header.tasks)) == len(header.tasks)
        and type(header.last_part) is int
        and header.last_part >= 0
        and isinstance(header.metadata, dict)
        and sessions
        and all(isinstance(session.provenance, dict) for session in sessions)
        and all(session.rewind_to is None or type(session.rewind_to) is int for session in sessions)
    ):
        raise TrajlabError(f"{source} is damaged: its header is none; restore it from a copy")


def _step(rewind_to: Any) -> int | None:
    """Return the step that a session goes on from."""
    if rewind_to is None:
        return None
    if isinstance(rewind_to, bool) or not isinstance(rewind_to, Integral) or rewind_to < 0:
        raise TrajlabError(
            f"a run cannot go on from step {rewind_to!r}; give a whole number from 0 on"
        )
    return int(rewind_to)


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return `facts` as JSON keeps them: NumPy scalars and arrays as numbers, the rest as text.

    Raises
    ------
    TrajlabError
        If they are no mapping, or JSON cannot keep them.
    """
    if not isinstance(facts, Mapping):
        raise TrajlabError(
            f"metadata is a {type(facts).__name__}; give a mapping, such as "
            "{'method': 'uniform', 'seed': 0}"
        )

    def default(value: Any) -> Any:
        return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)

    try:
        told = json.dumps(dict(facts), default=default)
        return cast(dict[str, Any], json.loads(told, object_pairs_hook=_distinct))
    except (TypeError, ValueError, RecursionError) as error:
        raise TrajlabError(
            f"metadata cannot be stored ({error}); give texts, numbers, flags, lists and mappings"
        ) from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a mapping whose keys JSON keeps apart: 1 and "1" are one to it."""
    header = dict(pairs)
    if len(header) < len(pairs):
        raise ValueError(f"two keys among {', '.join(header)} become one")
    return header
