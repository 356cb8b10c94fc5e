"""``trajlab merge``."""

from pathlib import Path

import click

from trajlab.cli.options import DEBUG
from trajlab.cli.terminal import echo
from trajlab.store.merge import recover


def _run(run: Path) -> None:
    problems = recover(run)
    echo(f"{run} is sealed")
    for sentence in problems:
        echo(f"Warning: {sentence}", err=True)


command = click.Command(
    "merge",
    callback=_run,
    params=[click.Argument(["run"], type=click.Path(path_type=Path)), DEBUG],
    help="Seal a run whose recording was cut off.",
)
