"""An imported run: what tells it apart, and its numbers."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from trajlab.store.importers.places import Place, Placed


@dataclass(frozen=True)
class ImportedRun:
    """What is written as one file.

    Attributes
    ----------
    metadata : mapping
        What tells runs apart.
    placed : mapping of Place to Placed
        The numbers.
    lower_is_better : collection of str
        Metrics for which lower is better.
    """

    metadata: Mapping[str, Any]
    placed: Mapping[Place, Placed]
    lower_is_better: Collection[str] = ()

    @property
    def tasks(self) -> list[str]:
        """The tasks in the order in which they are placed."""
        named = (task for where in self.placed for task in (where.task, where.other) if task)
        return list(dict.fromkeys(named))


def file_name(metadata: Mapping[str, Any], taken: Collection[str]) -> str:
    """Return a new name such as ``STL-seed0.h5``.

    Parameters
    ----------
    metadata
        What tells the run apart.
    taken
        Names that are in use.
    """
    words = [v if isinstance(v, str) else f"{name}{v}" for name, v in metadata.items()]
    stem = re.sub(r"[^\w.+-]", "_", "-".join(words))
    name, n = f"{stem}.h5", 1
    while name in taken:
        name, n = f"{stem}-{n + 1}.h5", n + 1
    return name
