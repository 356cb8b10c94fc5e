"""``trajlab check``."""

from __future__ import annotations

import sys

import click

from trajlab.cli.options import DEBUG, JSON
from trajlab.cli.output import show
from trajlab.cli.runs import RUNS
from trajlab.cli.terminal import echo
from trajlab.lazy import pd
from trajlab.store.check import check
from trajlab.store.runs import find


def _run(runs: tuple[str, ...], as_json: bool) -> None:
    checked = {path: check(path) for path in find(*runs)}
    problems = [(str(path), text) for path, found in checked.items() for text in found.problems]
    columns = [found.columns.assign(run=str(path)) for path, found in checked.items()]
    tables = {
        "columns": pd.concat(columns)[["run", "table", "column", "rows", "finite"]],
        "problems": pd.DataFrame(problems, columns=["run", "problem"]),
    }
    show(tables, as_json=as_json, first="problems" if problems else "columns")
    if not as_json:
        wrong = sum(bool(found.problems) for found in checked.values())
        echo(f"{len(checked)} runs checked, {wrong} with problems, {len(problems)} problems")
    sys.exit(1 if problems else 0)


command = click.Command(
    "check",
    callback=_run,
    params=[RUNS, JSON, DEBUG],
    help="Validate files: checksums, structure, order of steps, finite shares; exit 1 if wrong.",
)
