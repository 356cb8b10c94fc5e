"""``trajlab quickstart``."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trajlab.analysis import diagnose
from trajlab.cli.diagnose import command_line, say
from trajlab.cli.options import DEBUG
from trajlab.report import files
from trajlab.store import load


def _run(folder: Path) -> None:
    from trajlab.report import page  # matplotlib and torch take long to load
    from trajlab.study import quickstart

    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        runs = progress.add_task("runs", total=None)
        paths = quickstart.run(
            folder,
            progress=lambda done, total: progress.update(runs, completed=done, total=total),
        )
    recorded = load(*paths)
    diagnosis = diagnose(recorded)
    file = folder / "report.html"
    # The folder is the quickstart's own, so its page is renewed without being asked.
    files.write(file, page.render(diagnosis, recorded, command=command_line()).encode())
    say(diagnosis, file)


command = click.Command(
    "quickstart",
    callback=_run,
    params=[
        click.Argument(
            ["folder"],
            metavar="[DIR]",
            type=click.Path(path_type=Path),
            default="runs/quickstart",
        ),
        DEBUG,
    ],
    help=(
        "Train and record a task alone, beside its like and beside noise, on bundled real data; "
        "then diagnose the runs. Runs in DIR (runs/quickstart) that are finished are kept."
    ),
)
