"""``trajlab merge``."""

from pathlib import Path

import click

from trajlab.cli.options import DEBUG
from trajlab.store.merge import recover


def _run(run: Path) -> None:
    recover(run)
    click.echo(f"{run} is sealed")


command = click.Command(
    "merge",
    callback=_run,
    params=[click.Argument(["run"], type=click.Path(path_type=Path)), DEBUG],
    help="Seal a run whose recording was cut off.",
)
