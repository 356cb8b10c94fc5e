"""``trajlab diagnose``."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding

from trajlab.analysis import Diagnosis, diagnose
from trajlab.cli.options import CSV, DEBUG, FORCE, JSON, options
from trajlab.cli.output import show
from trajlab.cli.runs import RUNS, open_runs
from trajlab.cli.terminal import words
from trajlab.report import files, tables

PAGE = click.Option(
    ["file", "--page"],
    type=click.Path(path_type=Path),
    metavar="FILE",
    default="report.html",
    show_default=True,
    help="Write the page.",
)
TITLE = click.Option(
    ["--title"], default="", show_default="what the runs are of", help="Title of the page."
)


def _run(
    runs: tuple[str, ...],
    file: Path,
    title: str,
    as_json: bool,
    csv: Path | None,
    force: bool,
    **settings: Any,
) -> None:
    from trajlab.report import page  # matplotlib takes long to load

    files.refuse_existing([path for path in (file, csv) if path], force=force)
    opened = open_runs(runs)
    diagnosis = diagnose(opened, **settings)
    made = {file: page.render(diagnosis, opened, title, command_line()).encode()}
    if csv:
        made[csv] = tables.to_csv(diagnosis.tables())
    for path, content in made.items():
        files.write(path, content)
    if as_json:
        show(diagnosis.tables(), as_json=True)
    else:
        say(diagnosis, file)


def command_line() -> str:
    """Return the command that is running, as one would type it again."""
    return shlex.join(["trajlab", *sys.argv[1:]])


def say(diagnosis: Diagnosis, file: Path) -> None:
    """Print the verdict, what did not apply, and where the page is."""
    from trajlab.report.sentences import left_out, sentences

    console = Console(highlight=False)
    for name, said in sentences(diagnosis).items():
        console.print(words(name, "bold"))
        for sentence, _ in said:
            console.print(Padding(words(sentence), (0, 0, 0, 2)))
        console.print()
    for reason, names in left_out(diagnosis).items():
        console.print(words(f"Without {names}: {reason}.", "dim"))
    console.print(words(f"Page: {file}"), soft_wrap=True)


command = click.Command(
    "diagnose",
    callback=_run,
    params=[RUNS, PAGE, TITLE, *options(diagnose, without={"runs"}), JSON, CSV, FORCE, DEBUG],
    help="Run every analysis that applies; write one page and print its verdict on each task.",
)
