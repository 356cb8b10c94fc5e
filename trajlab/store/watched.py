"""Runs that are looked at again and again while they are recorded."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store.runs import Runs, find
from trajlab.store.trajectory import Trajectory


class Watched:
    """Runs by their patterns: what was opened once is not read again, only what came since.

    Parameters
    ----------
    *patterns
        Files, folders or globs; runs that appear later are found.
    """

    def __init__(self, *patterns: str | PathLike[str]) -> None:
        self._patterns = patterns
        self._runs: dict[Path, Trajectory] = {}

    def look(self) -> Runs:
        """Return the runs as they stand now: new ones found, those that are gone forgotten.

        A file that cannot be read costs itself alone: it is among those skipped, with the reason.
        There may be no run yet, or no longer.
        """
        failed: list[tuple[Path, str]] = []
        found = self._found()
        self._runs = {path: run for path, run in self._runs.items() if path in found}
        for path in found:
            try:
                if path in self._runs:
                    self._runs[path].refresh()
                else:
                    self._runs[path] = Trajectory(path)
            except (TrajlabError, OSError) as error:
                self._runs.pop(path, None)
                failed.append((path, str(error)))
        return Runs([self._runs[path] for path in found if path in self._runs], failed)

    def _found(self) -> Sequence[Path]:
        try:
            return find(*self._patterns)
        except TrajlabError:
            return []
