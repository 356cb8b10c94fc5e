"""``trajlab study``: train a grid of runs."""

import math
import os
import sys
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import click
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from trajlab.cli.options import DEBUG, JSON
from trajlab.cli.output import show
from trajlab.cli.terminal import echo, words
from trajlab.study.file import Study, read
from trajlab.study.grid import cost
from trajlab.study.run import Run
from trajlab.study.runner import Progress, cluster, local, train
from trajlab.study.status import duration, measured, outlook, state, tried

FILE = click.Argument(["file"], type=click.Path(path_type=Path))
RUNS = click.Option(
    ["--runs"],
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where trajectory files go, instead of the folder that the file names.",
)


def _study(file: Path, runs: Path | None) -> Study:
    study = read(file)
    return replace(study, runs=runs) if runs else study


class _TimeLeft(TimeRemainingColumn):
    """The time remaining; by earlier runs' pace until one of these is finished."""

    def render(self, task: Task) -> Text:
        pace = task.fields["pace"]
        if task.time_remaining is None and task.total and math.isfinite(pace):
            return Text(f"about {timedelta(seconds=round(task.remaining * pace))}")
        return super().render(task)


class _Shown(Progress):
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
        self._total += cost(run.configuration)
        self._bar.update(self._task, total=self._total)

    def finished(self, run: Run, seconds: float) -> None:
        self._bar.console.print(words(f"{run.path} trained in {seconds:.0f} s"), soft_wrap=True)
        self._bar.advance(self._task, cost(run.configuration))

    def failed(self, run: Run, sentence: str) -> None:
        super().failed(run, sentence)
        self._bar.advance(self._task, cost(run.configuration))

    def skipped(self, run: Run, sentence: str) -> None:
        told = f"{run.path} failed before ({sentence}) and counts as tried; --retry trains it again"
        self._bar.console.print(words(told), soft_wrap=True)

    def lost(self, attempt: int) -> None:
        self._bar.console.print("A worker was lost; its run goes on from its last checkpoint.")


def _run(
    file: Path, runs: Path | None, workers: int, dask: str | None, dry_run: bool, retry: bool
) -> None:
    study = _study(file, runs)
    if dry_run:
        _estimate(study, workers)
        return
    columns = (TextColumn("passes over a task"), BarColumn(), MofNCompleteColumn())
    bar = Bar(
        *columns,
        _TimeLeft(elapsed_when_finished=True),
        console=Console(stderr=True, highlight=False),
        speed_estimate_period=3600,
    )
    with bar:
        progress = _Shown(bar, math.nan if dask else _pace(study) / workers)
        try:
            train(study, cluster(dask) if dask else local(workers), progress, retry=retry)
        except KeyboardInterrupt:
            echo("Stopped; run the study again to go on from the last checkpoints.", err=True)
            sys.exit(130)
        finally:
            for sentence, failed in progress.failures.items():
                echo(f"Not trained: {len(failed)} of the runs. {sentence}", err=True)
    sys.exit(2 if progress.failures else 0)


def _pace(study: Study) -> float:
    """Return the mean seconds of a pass over what is left; NaN if a setting of it is new."""
    left = outlook(study)
    return duration(left.open, measured(study)) / left.passes if left.passes else math.nan


def _estimate(study: Study, workers: int) -> None:
    found = outlook(study)
    pace = measured(study)
    for own in found.open:
        if own["setting"] not in pace:
            pace[own["setting"]] = tried(study, own)
    seconds = duration(found.open, pace) / workers
    echo(
        f"{found.wanted} runs{'' if found.known else ' at most'}, {found.left} of them to train: "
        f"about {timedelta(seconds=round(seconds))} with {workers} at a time."
    )


def _status(file: Path, runs: Path | None, as_json: bool) -> None:
    study = _study(file, runs)
    pace = measured(study)
    rows = pd.DataFrame([asdict(state(study, stage, pace)) for stage in study.stages])
    show({"stages": rows}, as_json=as_json)


command = click.Group(
    "study",
    help="Train a grid of runs.",
    commands=[
        click.Command(
            "run",
            callback=_run,
            params=[
                FILE,
                RUNS,
                click.Option(
                    ["--workers"],
                    type=click.IntRange(min=1),
                    default=os.cpu_count() or 1,
                    help="Runs trained at a time, one thread each; all cores by default.",
                ),
                click.Option(
                    ["--dask"],
                    metavar="ADDRESS",
                    help="Train on this Dask cluster instead, as many runs at a time as it has.",
                ),
                click.Option(
                    ["--dry-run"],
                    is_flag=True,
                    help="Say how many runs there are and how long they will take.",
                ),
                click.Option(
                    ["--retry"],
                    is_flag=True,
                    help="Train runs again that ended in an error in an earlier call.",
                ),
                DEBUG,
            ],
            help="Train what is missing of a study; finished runs are kept.",
        ),
        click.Command(
            "status",
            callback=_status,
            params=[FILE, RUNS, JSON, DEBUG],
            help="Show how far a study is.",
        ),
    ],
)
