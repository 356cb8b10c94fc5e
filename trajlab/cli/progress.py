"""A bar for the runs of a study: the passes that are left, and the time that they will take."""

import math
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from trajlab.cli.terminal import words
from trajlab.study.grid import cost
from trajlab.study.run import Run
from trajlab.study.runner import Progress


def bar() -> Bar:
    """Return an empty bar, to be drawn on the terminal while it is entered."""
    return Bar(
        TextColumn("passes over a task"),
        BarColumn(),
        MofNCompleteColumn(),
        _TimeLeft(elapsed_when_finished=True),
        console=Console(stderr=True, highlight=False),
        speed_estimate_period=3600,
    )


class _TimeLeft(TimeRemainingColumn):
    """The time remaining; by earlier runs' pace until one of these is finished."""

    def render(self, task: Task) -> Text:
        pace = task.fields["pace"]
        if task.time_remaining is None and task.total and math.isfinite(pace):
            return Text(f"about {timedelta(seconds=round(task.remaining * pace))}")
        return super().render(task)


class Shown(Progress):
    """Progress as a bar over the passes left, with the time that they will take.

    Parameters
    ----------
    bar
        Where it is drawn.
    pace
        Seconds of a pass, NaN if no run was finished before.
    """

    def __init__(self, bar: Bar, pace: float) -> None:
        super().__init__()
        self._bar = bar
        self._task = bar.add_task("training", total=0, pace=pace)
        self._total = 0

    def wanted(self, run: Run) -> None:
        """Count the passes of a run that is to be trained."""
        self._total += cost(run.configuration)
        self._bar.update(self._task, total=self._total)

    def finished(self, run: Run, seconds: float) -> None:
        """Say that a run is trained."""
        self._bar.console.print(words(f"{run.path} trained in {seconds:.0f} s"), soft_wrap=True)
        self._bar.advance(self._task, cost(run.configuration))

    def failed(self, run: Run, sentence: str) -> None:
        """Keep why a run was not trained."""
        super().failed(run, sentence)
        self._bar.advance(self._task, cost(run.configuration))

    def skipped(self, run: Run, sentence: str) -> None:
        """Say that a run failed before and is not trained again."""
        told = f"{run.path} failed before ({sentence}) and counts as tried; --retry trains it again"
        self._bar.console.print(words(told), soft_wrap=True)

    def lost(self, attempt: int) -> None:
        """Say that a run starts again."""
        self._bar.console.print("A worker was lost; its run goes on from its last checkpoint.")
