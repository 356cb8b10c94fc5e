"""From the series of logged runs to places in trajectory files, by declared names alone."""

import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.cells import labels
from trajlab.store.importers.logged import Found, LoggedRun, Unreadable
from trajlab.store.importers.naming import NamePattern
from trajlab.store.importers.places import Place, Placed, fields, is_place, place, wizard
from trajlab.store.importers.writing import ImportedRun, file_name

_NAMED = 3  # runs that a warning names


@dataclass
class _Gathered:
    """What becomes one file: a run, or the parts of one."""

    name: str
    named: dict[str, str]
    told: dict[str, str]
    placed: dict[Place, Placed] = field(default_factory=dict)
    mapped: set[str] = field(default_factory=set)


def gather(
    source: str | PathLike[str],
    found: Iterable[Found],
    map: Mapping[str, str] | None,
    name: str | None,
    meta: Mapping[str, str] | None,
    const: Mapping[str, str] | None,
) -> dict[str, ImportedRun]:
    """Arrange what was found as runs by file name; what is left out is told by a warning.

    Parameters
    ----------
    source
        What the user named, for sentences.
    found
        The runs that were read, and why others were not.
    map, name, meta, const
        As in :func:`trajlab.store.importers.series.import_series`.

    Raises
    ------
    TrajlabError
        If no run was read, named or mapped, a series is in none of them, or two series of a run
        have the same place and step.
    """
    found, const = list(found), {key: str(value) for key, value in (const or {}).items()}
    for item in found:
        if isinstance(item, Unreadable) and len(found) > 1:
            _tell(f"left out: {item.reason}")
    logged = [item for item in found if isinstance(item, LoggedRun)]
    if not logged:
        reasons = [item.reason for item in found if isinstance(item, Unreadable)]
        raise TrajlabError(reasons[0] if reasons else f"{source} holds no run of this format")
    series = list(dict.fromkeys(series for run in logged for series in run.series))
    keys = map or {series: series for series in series if is_place(series)}
    missing = [wanted for wanted in keys.values() if wanted not in series]
    if missing or not keys:
        what = f"no series {missing[0]!r}" if missing else "no series that --map names"
        raise TrajlabError(f"{source} has {what}; {wizard(series)}")

    _tell_notes(logged, set(keys.values()))
    used = {field for key in keys for field in fields(key)}
    runs: dict[tuple[Any, ...], _Gathered] = {}
    for i, (run, named, part, rest) in enumerate(_named(logged, name)):
        told = named | _hyperparameters(run, meta, named)
        whole = rest if part else run.origin or i
        own = runs.setdefault((whole, *sorted(told.items())), _Gathered(rest, named, told))
        values = {k: str(v) for k, v in run.metadata.items()} | const | named
        values |= {**run.part, **part}
        own.named |= {key: told[key] for key in (meta or {})}
        for key, wanted in keys.items():
            if wanted in run.series:
                own.mapped.add(wanted)
                _put(own, place(key, values), wanted, run)
    return _files(source, list(runs.values()), set(keys.values()), const, used)


def _named(
    runs: Sequence[LoggedRun], name: str | None
) -> list[tuple[LoggedRun, dict[str, str], dict[str, str], str]]:
    """Return each run, what its name says of it and of its part, and its name without the part."""
    if name is None:
        return [(run, {}, {}, run.name) for run in runs]
    pattern = NamePattern(name)
    named = []
    for run in runs:
        match = pattern.match(run.name)
        if match is not None:
            named.append((run, *match))
    others = [run.name for run in runs if all(run is not item[0] for item in named)]
    if not named:
        raise TrajlabError(f"the run {others[0]!r} is not named like {name!r}")
    if others:
        _tell(f"left out: {_some(others)} not named like {name!r}")
    return named


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


def _put(own: _Gathered, where: Place, wanted: str, run: LoggedRun) -> None:
    """Place a series of a run, or of a part of it that has other steps."""
    values = run.series[wanted]
    before = own.placed.get(where)
    if before is not None:
        both = sorted(before.values.keys() & values.keys())
        if both:
            raise TrajlabError(
                f"the run {own.name!r} has two series for {'/'.join(filter(None, where))} at step "
                f"{both[0]}, {before.series!r} and {wanted!r}; tell them apart in --map"
            )
        values = {**before.values, **values}
    own.placed[where] = Placed(wanted, values)


def _files(
    source: str | PathLike[str],
    runs: Sequence[_Gathered],
    wanted: set[str],
    const: Mapping[str, str],
    used: set[str],
) -> dict[str, ImportedRun]:
    """Return the runs by file name, and warn of those that miss something."""
    whole = [run for run in runs if any(where.task for where in run.placed)]
    if not whole:
        raise TrajlabError(f"{source} has no task's numbers among what --map names")
    if len(whole) < len(runs):
        lacking = [run.name for run in runs if run not in whole]
        _tell(f"left out: {_some(lacking)} without any series that --map names")
    for series in sorted(wanted):
        lacking = [run.name for run in whole if series not in run.mapped]
        if lacking:
            _tell(f"{_some(lacking)} without the series {series!r}")
    fixed = labels_of([{key: value for key, value in const.items() if key not in used}])[0]
    told = labels_of([run.told for run in whole])
    _tell_alike(whole)
    files: dict[str, ImportedRun] = {}
    for run, own in zip(whole, told, strict=True):
        stem = {key: own[key] for key in run.named} or {
            "": re.sub(r"\W+", "-", run.name).strip("-") or "run"
        }
        files[file_name(stem, taken=files)] = ImportedRun(fixed | own, run.placed)
    return files


def labels_of(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return texts as numbers where those of all rows are, as `labels` does."""
    names = dict.fromkeys(name for row in rows for name in row)
    parsed = {n: iter(labels([row[n] for row in rows if n in row])) for n in names}
    return [{name: next(parsed[name]) for name in row} for row in rows]


def _tell_alike(runs: Sequence[_Gathered]) -> None:
    """Warn of runs that nothing but their file tells apart."""
    first: dict[tuple[Any, ...], str] = {}
    for run in runs:
        tasks = tuple(sorted({where.task for where in run.placed}))
        other = first.setdefault((*sorted(run.told.items()), *tasks), run.name)
        if other != run.name:
            _tell(
                f"the runs {other!r} and {run.name!r} have the same metadata and tasks; tell them "
                f"apart with --name or --meta, or if they are parts of one run, in --name as [PART]"
            )
            return


def _tell_notes(runs: Iterable[LoggedRun], wanted: Collection[str]) -> None:
    notes: dict[str, list[str]] = {}
    for run in runs:
        twice = [
            f"{name!r} has {n} step{'' if n == 1 else 's'} logged again with another value, of "
            f"which the last is kept"
            for name, n in run.twice.items()
            if name in wanted
        ]
        for note in [*run.notes, *twice]:
            notes.setdefault(note, []).append(run.name)
    for note, names in notes.items():
        _tell(f"{_some(list(dict.fromkeys(names)))}: {note}")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_NAMED])) + (", …" if len(names) > _NAMED else "")
    return f"the run {shown}" if len(names) == 1 else f"{len(names)} runs ({shown})"


def _tell(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=4)
