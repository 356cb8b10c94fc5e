"""``trajlab import``: one command a format."""

from pathlib import Path
from typing import Any

import click

from trajlab.cli.options import DEBUG, options
from trajlab.store.importers.csv import import_csv


def _csv(file: Path, **settings: Any) -> None:
    written = import_csv(file, **settings)
    click.echo(f"{len(written)} runs written to {settings['out']}")


command = click.Group(
    "import",
    help="Bring in numbers that were recorded elsewhere.",
    commands=[
        click.Command(
            "csv",
            callback=_csv,
            params=[
                click.Argument(["file"], type=click.Path(path_type=Path)),
                *options(import_csv, without={"file"}),
                DEBUG,
            ],
            help="Bring in a table with one row a step and task, as one file a run.",
        )
    ],
)
