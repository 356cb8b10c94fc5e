"""The ``RUNS…`` argument: trajectory files, folders, globs."""

from collections.abc import Sequence

import click

from trajlab.cli.terminal import echo
from trajlab.store import Runs, load

RUNS = click.Argument(["runs"], nargs=-1, required=True)
MAYBE_RUNS = click.Argument(["runs"], nargs=-1)


def open_runs(patterns: Sequence[str]) -> Runs:
    """Open the runs that a command was given and say which files were skipped.

    Parameters
    ----------
    patterns
        Files, folders or globs.

    Raises
    ------
    TrajlabError
        If nothing is found, or nothing of it can be read.
    """
    runs = load(*patterns)
    for _, reason in runs.skipped:
        echo(f"Skipped: {reason}", err=True)
    return runs
