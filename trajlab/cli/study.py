"""``trajlab study``: train a grid of runs.

What trains loads torch, so each command imports it only when it is run.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trajlab.cli.options import DEBUG, JSON
from trajlab.cli.output import show
from trajlab.cli.terminal import echo
from trajlab.lazy import pd

if TYPE_CHECKING:
    from trajlab.study.file import Study

FILE = click.Argument(["file"], type=click.Path(path_type=Path))
RUNS = click.Option(
    ["--runs"],
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where trajectory files go, instead of the folder that the file names.",
)


def _study(file: Path, runs: Path | None) -> Study:
    from trajlab.study.file import read

    study = read(file)
    return replace(study, runs=runs) if runs else study


def _run(
    file: Path, runs: Path | None, workers: int, dask: str | None, dry_run: bool, retry: bool
) -> None:
    from trajlab.cli.progress import Shown, bar
    from trajlab.study.runner import cluster, local, train

    study = _study(file, runs)
    if dry_run:
        _estimate(study, workers)
        return
    with bar() as drawn, _sigterm_stops():
        progress = Shown(drawn, math.nan if dask else _pace(study) / workers)
        try:
            train(study, cluster(dask) if dask else local(workers), progress, retry=retry)
        except KeyboardInterrupt:
            echo("Stopped; run the study again to go on from the last checkpoints.", err=True)
            sys.exit(130)
        finally:
            for sentence, failed in progress.failures.items():
                echo(f"Not trained: {len(failed)} of the runs. {sentence}", err=True)
    sys.exit(2 if progress.failures else 0)


@contextmanager
def _sigterm_stops() -> Iterator[None]:
    """Take SIGTERM, by which a cluster ends a job, as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _pace(study: Study) -> float:
    """Return the mean seconds of a pass over what is left; NaN if a setting of it is new."""
    from trajlab.study.status import duration, measured, outlook

    left = outlook(study)
    return duration(left.open, measured(study)) / left.passes if left.passes else math.nan


def _estimate(study: Study, workers: int) -> None:
    from trajlab.study.status import duration, measured, outlook, tried

    ahead = outlook(study)
    pace = measured(study)
    for configuration in ahead.open:
        if configuration["setting"] not in pace:
            pace[configuration["setting"]] = tried(study, configuration)
    seconds = duration(ahead.open, pace) / workers
    echo(
        f"{ahead.wanted} runs{'' if ahead.known else ' at most'}, {ahead.left} of them to train: "
        f"about {timedelta(seconds=round(seconds))} with {workers} at a time."
    )


def _status(file: Path, runs: Path | None, as_json: bool) -> None:
    from trajlab.study.status import measured, state

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
