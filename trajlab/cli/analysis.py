"""One command an analysis, made from the function's own signature."""

from inspect import Parameter, signature
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import click

from trajlab.cli.options import CSV, DEBUG, FIGURE, FORCE, JSON, WIDTH, options, without_use
from trajlab.cli.output import show
from trajlab.cli.runs import MAYBE_RUNS, RUNS, open_runs
from trajlab.report import files, tables
from trajlab.report.catalog import ANALYSES


def command(name: str) -> click.Command:
    """Make the command of one analysis.

    Parameters
    ----------
    name
        Its name in the catalog.

    Returns
    -------
    click.Command
        With the analysis's own options, then those that all analyses share.
    """
    entry = ANALYSES[name]
    analyse = resolve_name(f"trajlab.analysis:{name}")
    optional = signature(analyse).parameters["runs"].default is not Parameter.empty

    def run(
        runs: tuple[str, ...],
        as_json: bool,
        csv: Path | None,
        figure: Path | None,
        width: float | None,
        force: bool,
        **settings: Any,
    ) -> None:
        files.refuse_existing([path for path in (csv, figure) if path], force=force)
        opened = open_runs(runs) if runs else None
        result = analyse(opened, **settings)
        # Everything is made before anything is written: a failure leaves no half of the output.
        made = {}
        if csv:
            made[csv] = tables.to_csv(result.tables())
        if figure:
            from trajlab.report import figures  # matplotlib takes long to load

            places = figures.palette(opened or (), settings.get("group_by", ()))
            drawn = figures.draw(name, result, places, width)
            made[figure] = figures.render(drawn, figure.suffix)
        for path, content in made.items():
            files.write(path, content)
        show(result.tables(), as_json=as_json, first=entry.shown, details=entry.details)

    return click.Command(
        name,
        callback=run,
        params=[
            MAYBE_RUNS if optional else RUNS,
            *options(analyse, without={"runs"}),
            *without_use(analyse),
            JSON,
            CSV,
            FIGURE,
            WIDTH,
            FORCE,
            DEBUG,
        ],
        help=entry.help,
    )
