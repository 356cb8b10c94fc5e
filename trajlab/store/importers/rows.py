"""The numbers of a log, gathered as series by step."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.logged import LoggedRun
from trajlab.store.importers.places import CLOCKS


class Rows:
    """Series gathered from the rows of a log.

    Of two values of one series at one step the later is kept, of a clock the first. A number
    without a step, or with one that does not count from 0, is counted and left out.
    """

    def __init__(self) -> None:
        self._series: dict[str, dict[int, float]] = {}
        self._twice: dict[str, int] = {}
        self._times: dict[int, float] = {}
        self._without = 0

    def add(self, name: str, step: Any, value: float, time: float | None = None) -> None:
        """Take one number, and when it was logged if that is known, in seconds."""
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            self._without += 1
            return
        values = self._series.setdefault(name, {})
        if name in CLOCKS:  # which say when a step was reached first
            values.setdefault(step, value)
            return
        if step in values and repr(values[step]) != repr(value):  # NaN is as NaN
            self._twice[name] = self._twice.get(name, 0) + 1
        values[step] = value
        if time is not None:
            self._times[step] = min(time, self._times.get(step, time))

    def run(self, name: str, metadata: Mapping[str, Any], notes: Sequence[str] = ()) -> LoggedRun:
        """Return what was gathered as a run.

        Where times are known they are its ``wall_time``: seconds from the first number of the run
        to the first one at each step.
        """
        series = dict(self._series)
        if self._times and "wall_time" not in series:
            start = min(self._times.values())
            series["wall_time"] = {step: time - start for step, time in self._times.items()}
        said = f"{self._without} of its numbers have no step and are left out"
        notes = [*notes, said] if self._without else list(notes)
        return LoggedRun(name, metadata, series, notes, twice=self._twice)


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
    return rows.run(run.name, run.metadata, [*run.notes, *said])
