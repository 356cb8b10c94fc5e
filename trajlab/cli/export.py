"""``trajlab export``."""

from pathlib import Path

import click

from trajlab.cli.options import DEBUG, FORCE
from trajlab.cli.runs import RUNS, open_runs
from trajlab.cli.terminal import echo
from trajlab.report.files import refuse_existing
from trajlab.store.exporters import export


def _run(runs: tuple[str, ...], out: Path, table: str | None, force: bool) -> None:
    if out.parent.is_dir():  # one that is missing is made
        refuse_existing([out], force=force)
    export(open_runs(runs), out, table)
    echo(f"{out} written")


command = click.Command(
    "export",
    callback=_run,
    params=[
        RUNS,
        click.Option(
            ["--out"],
            type=click.Path(path_type=Path),
            required=True,
            help="What to make: .nc, .zarr, .csv, .parquet or .jsonl.",
        ),
        click.Option(["--table"], help="The table to export, where the format holds one."),
        FORCE,
        DEBUG,
    ],
    help="Write runs as netCDF, Zarr, CSV, Parquet or JSON lines.",
)
