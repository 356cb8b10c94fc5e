"""``trajlab info``."""

import click

from trajlab.cli.options import DEBUG, JSON
from trajlab.cli.output import show
from trajlab.cli.runs import RUNS, open_runs
from trajlab.report.inventory import inventory


def _run(runs: tuple[str, ...], as_json: bool) -> None:
    show(inventory(open_runs(runs)), as_json=as_json)


command = click.Command(
    "info", callback=_run, params=[RUNS, JSON, DEBUG], help="Show what is in trajectory files."
)
