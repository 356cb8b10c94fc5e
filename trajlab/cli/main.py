"""The ``trajlab`` command: what there is, and how wrong input is told."""

import warnings
from importlib import import_module
from typing import Any

import click

from trajlab import __version__
from trajlab.errors import TrajlabError
from trajlab.escapes import inert
from trajlab.report.catalog import ANALYSES

# Every command's line in the list. The modules behind them are imported when their command is
# asked for, so that `trajlab --help` is quick.
_HELP = {
    "quickstart": "Train and record small runs on bundled real data, then diagnose them.",
    "datasets": "List the runs that come with trajlab, or copy some into a folder.",
    "info": "Show what is in trajectory files.",
    **{name: entry.help for name, entry in ANALYSES.items()},
    "study": "Train a grid of runs from a study file.",
    "diagnose": "All of it in one page, with a verdict in plain words for each task.",
    "view": "Show the page of diagnose in the browser, and keep it up to date.",
    "watch": "Draw runs in the terminal while they are recorded.",
    "import": "Bring in numbers that were recorded elsewhere.",
    "export": "Write runs as netCDF, Zarr, CSV, Parquet or JSON lines.",
    "check": "Validate trajectory files.",
    "merge": "Seal a run whose recording was cut off.",
    "repair": "Save what is valid of a damaged run.",
}
_MODULES = {name: f"trajlab.cli.{name}" for name in _HELP if name not in ANALYSES} | {
    "import": "trajlab.cli.imports"
}


class WrongInput(click.ClickException):
    """What the user can mend, told in one sentence."""

    exit_code = 2


class Commands(click.Group):
    """The commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of a user's work."""
        return list(_HELP)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name in ANALYSES:
            made: click.Command = import_module("trajlab.cli.analysis").command(cmd_name)
            return made
        if cmd_name in _MODULES:
            command: click.Command = import_module(_MODULES[cmd_name]).command
            return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_HELP.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; wrong input ends in one sentence and exit code 2."""
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except BrokenPipeError:
                raise  # the reader of a pipe went away; click knows what to do
            except (TrajlabError, OSError) as error:
                if ctx.meta.get("trajlab.debug"):
                    raise
                raise WrongInput(inert(_sentence(error))) from error


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    click.echo(inert(f"Warning: {message}"), err=True)


def _sentence(error: TrajlabError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; mend that, or name another path."
    return str(error)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="trajlab")
def main() -> None:
    """Explain what multi-task training did to each task, from recorded trajectories.

    RUNS are trajectory files, folders or globs. Begin with `trajlab quickstart`.
    """
