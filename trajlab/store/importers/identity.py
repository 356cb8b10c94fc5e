"""What tells logged runs apart: their names and hyperparameters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trajlab.errors import TrajlabError, warn
from trajlab.store.importers.logged import LoggedRun
from trajlab.store.importers.naming import NamePattern
from trajlab.store.importers.numerals import labels
from trajlab.store.importers.sentences import some


@dataclass(frozen=True)
class Identity:
    """What is said of a run, or of one part of it.

    Attributes
    ----------
    name : str
        Its name, without what tells its part.
    metadata : dict
        What its name says and its hyperparameters.
    chosen : dict
        That of it which the user named, and which its file is called after.
    part : dict
        What its name says of the part.
    """

    name: str
    metadata: dict[str, str]
    chosen: dict[str, str]
    part: dict[str, str]


def identify(
    runs: Iterable[LoggedRun], name: str | None, meta: Mapping[str, str] | None
) -> list[tuple[LoggedRun, Identity]]:
    """Return who each run is; one that cannot be told is left out with a warning.

    Parameters
    ----------
    runs
        The runs that were read.
    name, meta
        As in :func:`trajlab.store.importers.series.import_series`.

    Raises
    ------
    TrajlabError
        If none can be told, or a name fits in several ways.
    """
    pattern = None if name is None else NamePattern(name)
    identified, others, lacking = [], [], []
    for run in runs:
        match = ({}, {}, run.name) if pattern is None else pattern.match(run.name)
        if match is None:
            others.append(run.name)
            continue
        named, part, rest = match
        try:
            told = _hyperparameters(run, meta, named)
        except TrajlabError as error:
            lacking.append(str(error))
            continue
        chosen = named | {key: told[key] for key in meta or {}}
        identified.append((run, Identity(rest, named | told, chosen, part)))
    if not identified:
        raise TrajlabError(
            lacking[0] if lacking else f"the run {others[0]!r} is not named like {name!r}"
        )
    if others:
        warn(f"left out: {some(others)} not named like {name!r}")
    for reason in lacking:
        warn(f"left out: {reason}")
    return identified


def _hyperparameters(
    run: LoggedRun, meta: Mapping[str, str] | None, named: Mapping[str, str]
) -> dict[str, str]:
    """Return those of --meta, or all that the name does not say."""
    told = {}
    for name, key in (meta or {k: k for k in run.metadata if k not in named}).items():
        same = set(run.series.get(key, {}).values())  # logged as a series that never changes
        if key in run.metadata:
            told[name] = str(run.metadata[key])
        elif len(same) == 1:
            told[name] = f"{same.pop():.17g}"
        else:
            raise TrajlabError(
                f"the run {run.name!r} has no hyperparameter {key!r}; it has "
                f"{', '.join(run.metadata) or 'none'}"
            )
    return told


def as_labels(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return texts as numbers where those of all rows are, as `labels` does."""
    names = dict.fromkeys(name for row in rows for name in row)
    parsed = {n: iter(labels([row[n] for row in rows if n in row])) for n in names}
    return [{name: next(parsed[name]) for name in row} for row in rows]


def tell_alike(runs: Iterable[tuple[str, Mapping[str, str], Iterable[str]]]) -> None:
    """Warn of runs that nothing but their file tells apart: name, metadata and tasks of each."""
    first: dict[tuple[Any, ...], str] = {}
    for name, metadata, tasks in runs:
        other = first.setdefault((*sorted(metadata.items()), *sorted(tasks)), name)
        if other != name:
            warn(
                f"the runs {other!r} and {name!r} have the same metadata and tasks; tell them "
                f"apart with --name or --meta, or if they are parts of one run, in --name as [PART]"
            )
            return
