import subprocess
import sys
import warnings
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from trajlab import __version__
from trajlab.cli.main import main
from trajlab.errors import TrajlabError
from trajlab.report.catalog import ANALYSES
from trajlab.store import load


def test_the_module_runs_as_a_command() -> None:
    command = [sys.executable, "-m", "trajlab", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"trajlab, version {__version__}\n"


def test_help_lists_every_analysis_with_its_line(trajlab) -> None:
    listed = " ".join(trajlab("--help").output.split())
    for name, entry in ANALYSES.items():
        assert f"{name} {entry.help}" in listed


@pytest.mark.parametrize("name", ANALYSES)
def test_every_option_of_an_analysis_has_help(name: str) -> None:
    context = CliRunner()
    assert context.invoke(main, [name, "--help"]).exit_code == 0
    command = main.get_command(None, name)
    assert [o.name for o in command.params if o.param_type_name == "option" and not o.help] == []


def commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from commands(command)


def test_every_command_says_what_it_does_and_what_its_options_are() -> None:
    found = dict(commands(main))
    assert {"diagnose", "repair", "csv", "status"} <= found.keys()
    for name, command in found.items():
        assert (command.help or "").endswith("."), name
        names = [parameter.name for parameter in command.params]
        assert len(set(names)) == len(names), name  # runs are no option beside the argument
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.opts}"


def test_an_unknown_command_is_wrong_input(trajlab) -> None:
    result = trajlab("gaps")
    assert result.exit_code == 2
    assert "gaps" in result.stderr


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (TrajlabError("a.h5 is empty; record it again"), "Error: a.h5 is empty; record it again\n"),
        (OSError(30, "Read-only file system", "a.h5"), "Error: a.h5: Read-only file system; "),
    ],
)
def test_wrong_input_is_one_sentence_and_debug_shows_where(monkeypatch, error, sentence) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("trajlab.cli.info.open_runs", fail)
    result = CliRunner().invoke(main, ["info", "a.h5"])
    assert result.exit_code == 2
    assert result.stderr.startswith(sentence)
    assert result.stderr.count("\n") == 1
    assert CliRunner().invoke(main, ["info", "a.h5", "--debug"]).exception is error


def test_a_bug_is_not_called_wrong_input(monkeypatch) -> None:
    monkeypatch.setattr("trajlab.cli.info.open_runs", lambda _: 1 / 0)
    assert isinstance(CliRunner().invoke(main, ["info", "a.h5"]).exception, ZeroDivisionError)


@pytest.mark.filterwarnings("always")
def test_a_warning_is_one_line_on_stderr(monkeypatch, trajlab, runs) -> None:
    def warn(patterns: object) -> object:
        warnings.warn("runs were evaluated at different steps", stacklevel=1)
        return load(runs)

    monkeypatch.setattr("trajlab.cli.info.open_runs", warn)
    assert trajlab("info", runs).stderr == "Warning: runs were evaluated at different steps\n"
