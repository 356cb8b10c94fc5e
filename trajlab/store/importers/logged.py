"""What a logger kept of a run."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError

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


def read_each(
    files: Iterable[Path], read: Callable[[Path], Iterable[LoggedRun]]
) -> Iterator[Found]:
    """Return what each file holds; one that cannot be read does not block the others."""
    for file in files:
        try:
            runs = list(read(file))
        except TrajlabError as error:
            yield Unreadable(str(error))
        else:
            yield from runs


class Rows:
    """Series gathered from the rows of a log.

    Of two values of one series at one step the later is kept.

    Attributes
    ----------
    series : dict
        Value by step by name.
    twice : dict
        How many steps of a series came again with another value.
    """

    def __init__(self) -> None:
        self.series: dict[str, dict[int, float]] = {}
        self.twice: dict[str, int] = {}

    def add(self, name: str, step: int, value: float) -> None:
        """Take one number."""
        own = self.series.setdefault(name, {})
        if step in own and repr(own[step]) != repr(value):  # NaN is as NaN
            self.twice[name] = self.twice.get(name, 0) + 1
        own[step] = value


def numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Return the numbers of a logged value; a mapping's are called ``name/key``."""
    if isinstance(value, dict) and "_type" not in value:
        for key, item in value.items():
            yield from numbers(f"{name}/{key}", item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)


def by_step_of(run: LoggedRun, counter: str) -> LoggedRun:
    """Return a run whose steps are counted by one of its own series.

    Parameters
    ----------
    run
        Rows of its series have equal steps.
    counter
        The series that holds the trainer's step.

    Raises
    ------
    TrajlabError
        If a step is not whole or below 0.
    """
    steps = run.series[counter]
    wrong = [step for step in steps.values() if step < 0 or not float(step).is_integer()]
    if wrong:
        raise TrajlabError(
            f"the run {run.name!r} has step {wrong[0]} in {counter!r}, where whole numbers must "
            f"stand; name another series with --step"
        )
    rows, lost = Rows(), 0
    for name, values in run.series.items():
        if name != counter:
            for row, value in values.items():
                if row in steps:
                    rows.add(name, int(steps[row]), value)
                else:
                    lost += 1
    said = [f"{lost} values stand in rows without {counter!r} and are left out"] if lost else []
    return replace(run, series=rows.series, notes=[*run.notes, *said], twice=rows.twice)
