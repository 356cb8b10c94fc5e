"""What a logger kept of a run."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.files import name_of

Series = Mapping[int, float]
"""Value by step."""


@dataclass(frozen=True)
class LoggedRun:
    """One run as a logger kept it, or one part of it.

    Attributes
    ----------
    name : str
        The run's name, or its folder relative to what was given.
    metadata : mapping
        Its hyperparameters.
    series : mapping of str to Series
        The logged quantities under the names they were logged with.
    notes : sequence of str
        What one has to know of how they were read.
    part : mapping of str to str
        What tells this part of a run from its other parts.
    origin : str
        Where its parts are together; empty if it is whole.
    twice : mapping of str to int
        How many steps of a series were logged again with another value.
    """

    name: str
    metadata: Mapping[str, Any]
    series: Mapping[str, Series]
    notes: Sequence[str] = ()
    part: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    twice: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Unreadable:
    """A file that was found and cannot be read.

    Attributes
    ----------
    reason : str
        One sentence that names it.
    """

    reason: str


Found = LoggedRun | Unreadable
Reader = Callable[[Path], Iterable[Found]]


def read_each(files: Iterable[Path], read: Callable[[Path], Iterable[Found]]) -> Iterator[Found]:
    """Return what each file holds; one that cannot be read does not block the others."""
    for file in files:
        try:
            runs = list(read(file))
        except TrajlabError as error:
            yield Unreadable(str(error))
        except RecursionError:
            yield Unreadable(f"{file} is nested too deeply to be read")
        else:
            yield from runs


def called(path: Path, own: Path) -> str:
    """Return what a run is called that is kept in a folder: its path below what was named."""
    inside = own != path and path in own.parents
    return own.relative_to(path).as_posix() if inside else name_of(own)
