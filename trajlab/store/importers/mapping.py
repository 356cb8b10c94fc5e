"""From the series of logged runs to places in trajectory files, by declared names alone."""

import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

from trajlab.errors import TrajlabError, warn
from trajlab.store.importers.gathered import Gathered
from trajlab.store.importers.identity import as_labels, identify, tell_alike
from trajlab.store.importers.imported import ImportedRun, file_name
from trajlab.store.importers.logged import Found, LoggedRun, Unreadable
from trajlab.store.importers.places import CLOCKS, fields, is_place, place, wizard
from trajlab.store.importers.sentences import some, tell_notes

_Source = str | PathLike[str]


def gather(
    source: _Source,
    found: Iterable[Found],
    map: Mapping[str, str] | None,
    name: str | None,
    meta: Mapping[str, str] | None,
    const: Mapping[str, str] | None,
) -> dict[str, ImportedRun]:
    """Arrange what was found as runs by file name; what is left out is told by a warning.

    A series that is called as a clock is (``epoch``, ``wall_time``, …) goes with the others.

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
    logged, const = _readable(source, found), {k: str(v) for k, v in (const or {}).items()}
    keys = _keys(source, logged, map)
    tell_notes(logged, set(keys.values()))
    used = {each for key in keys for each in fields(key)}
    runs: dict[tuple[Any, ...], Gathered] = {}
    for i, (run, who) in enumerate(identify(logged, name, meta)):
        whole = who.name if who.part else run.origin or i
        gathered = runs.setdefault((whole, *sorted(who.metadata.items())), Gathered(who))
        values = {k: str(v) for k, v in run.metadata.items()} | const | who.metadata
        values |= {**run.part, **who.part}
        for key, wanted in keys.items():
            gathered.put(place(key, values), wanted, run.series.get(wanted))
        gathered.carry({clock: run.series[clock] for clock in CLOCKS if clock in run.series})
    fixed = {key: value for key, value in const.items() if key not in used}
    return _files(source, list(runs.values()), fixed)


def _readable(source: _Source, found: Iterable[Found]) -> list[LoggedRun]:
    """Return the runs that have numbers, and warn of the others."""
    runs, reasons = [], []
    for item in found:
        if isinstance(item, Unreadable):
            reasons.append(item.reason)
        elif not item.series:
            reasons.append(f"the run {item.name!r} has no numbers with a step")
        else:
            runs.append(item)
    if not runs:
        if not reasons:
            raise TrajlabError(f"{source} holds no run of this format")
        more = f" ({len(reasons) - 1} more could not be read either)" if reasons[1:] else ""
        raise TrajlabError(reasons[0] + more)
    for reason in reasons:
        warn(f"left out: {reason}")
    return runs


def _keys(
    source: _Source, runs: Iterable[LoggedRun], map: Mapping[str, str] | None
) -> Mapping[str, str]:
    """Return the series of each key: those of --map, or all whose names are places."""
    series = list(dict.fromkeys(series for run in runs for series in run.series))
    for wanted in (map or {}).values():
        if wanted not in series:
            raise TrajlabError(f"{source} has no series {wanted!r}; {wizard(series)}")
    keys = map or {name: name for name in series if is_place(name) and name not in CLOCKS}
    if not keys:
        raise TrajlabError(f"{source} has no series that --map names; {wizard(series)}")
    return keys


def _files(
    source: _Source, runs: Sequence[Gathered], fixed: Mapping[str, str]
) -> dict[str, ImportedRun]:
    """Return the runs by file name, and warn of those that miss something."""
    whole = [run for run in runs if run.tasks]
    if not whole:
        raise TrajlabError(f"{source} has no task's numbers among what --map names")
    if len(whole) < len(runs):
        lacking = [run.identity.name for run in runs if not run.tasks]
        warn(f"left out: {some(lacking)} without any series that --map names")
    _tell_lacking(whole)
    tell_alike((run.identity.name, run.identity.metadata, run.tasks) for run in whole)
    const = as_labels([fixed])[0]
    told = as_labels([run.identity.metadata for run in whole])
    files: dict[str, ImportedRun] = {}
    for run, own in zip(whole, told, strict=True):
        stem = {key: own[key] for key in run.identity.chosen} or {
            "": re.sub(r"\W+", "-", run.identity.name).strip("-") or "run"
        }
        files[file_name(stem, taken=files)] = ImportedRun(const | own, run.with_clocks())
    return files


def _tell_lacking(runs: Iterable[Gathered]) -> None:
    """Warn of what runs lack of their tasks, and of tasks that some do not have."""
    series: dict[str, list[str]] = {}
    tasks: dict[str, list[str]] = {}
    for run in runs:
        without = {task: None for _, task in run.lacking if task and task not in run.tasks}
        for wanted, task in run.lacking:
            if task not in without:
                series.setdefault(wanted, []).append(run.identity.name)
        if without:
            which = f"without anything of {', '.join(without)}, but of {', '.join(run.tasks)}"
            tasks.setdefault(which, []).append(run.identity.name)
    for wanted, names in series.items():
        warn(f"{some(names)} without the series {wanted!r}")
    for which, names in tasks.items():
        warn(f"{some(names)} {which}")
