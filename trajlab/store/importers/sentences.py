"""What a user is told of runs that were imported, and of those that were not."""

from collections.abc import Collection, Iterable, Sequence

from trajlab.errors import warn
from trajlab.store.importers.logged import LoggedRun

_NAMED = 3  # runs that a warning names


def some(names: Sequence[str]) -> str:
    """Name one run, or say how many and name the first."""
    shown = ", ".join(map(repr, names[:_NAMED])) + (", …" if len(names) > _NAMED else "")
    return f"the run {shown}" if len(names) == 1 else f"{len(names)} runs ({shown})"


def tell_notes(runs: Iterable[LoggedRun], wanted: Collection[str]) -> None:
    """Warn of what one has to know of how runs were read, once for all runs that share it."""
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
        warn(f"{some(list(dict.fromkeys(names)))}: {note}")
