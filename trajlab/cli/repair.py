"""``trajlab repair``."""

from pathlib import Path

import click

from trajlab.cli.options import DEBUG
from trajlab.cli.terminal import echo
from trajlab.store.repair import repair


def _run(run: Path, out: Path) -> None:
    lost = repair(run, out)
    echo(f"{out} holds what is valid of {run}")
    for sentence in lost or ["nothing was lost"]:
        echo(sentence)


command = click.Command(
    "repair",
    callback=_run,
    params=[
        click.Argument(["run"], type=click.Path(path_type=Path)),
        click.Argument(["out"], type=click.Path(path_type=Path)),
        DEBUG,
    ],
    help="Save what is valid of a damaged run into a new file, and say what was lost.",
)
