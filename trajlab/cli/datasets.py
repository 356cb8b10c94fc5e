"""``trajlab datasets``."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from trajlab import datasets
from trajlab.cli.options import DEBUG, FORCE
from trajlab.cli.output import show
from trajlab.cli.terminal import echo
from trajlab.lazy import pd
from trajlab.report import files


def _run(name: str | None, folder: Path | None, force: bool) -> None:
    if name is None:
        rows = {"name": datasets.DATASETS.keys(), "what": datasets.DATASETS.values()}
        show({"datasets": pd.DataFrame(rows)})
        return
    paths = sorted(datasets.folder(name).glob("*.h5"))
    into = folder or Path("runs") / name
    into.mkdir(parents=True, exist_ok=True)
    files.refuse_existing([into / run.name for run in paths], force=force)
    for run in paths:
        shutil.copyfile(run, into / run.name)
    echo(f"Copied {len(paths)} runs. Look at them with: trajlab info {into}")


command = click.Command(
    "datasets",
    callback=_run,
    params=[
        click.Argument(["name"], required=False),
        click.Argument(
            ["folder"], metavar="[DIR]", required=False, type=click.Path(path_type=Path)
        ),
        FORCE,
        DEBUG,
    ],
    help=(
        "List the runs that come with trajlab, or copy those of one name into DIR "
        "(runs/NAME), to try everything on."
    ),
)
