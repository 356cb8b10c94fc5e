from collections.abc import Mapping, Sequence
from os import PathLike
from pkgutil import resolve_name
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner, Result

from trajlab.analysis import diagnose, gap
from trajlab.cli.options import options
from trajlab.report.catalog import ANALYSES

SINGLE = {"method": "single"}


def analyse(
    runs: object,
    *,
    rule: Literal["isotonic", "bins"] = "isotonic",
    layers: bool = False,
    metric: str | None = None,
    confidence: float = 0.95,
    n_seeds: int = 0,
    baseline: Mapping[str, str] = SINGLE,
    against: Mapping[str, str] | None = None,
    group_by: Sequence[str] = (),
    table: str | PathLike[str] | None = None,
) -> None:
    """Analyse.

    Parameters
    ----------
    runs
        Runs.
    rule
        How a score is read
        at a ``loss``.
    layers
        By layer.
    metric, confidence
        Both.
    """


def parsed(*arguments: str) -> tuple[dict[str, Any], Result]:
    found: dict[str, Any] = {}
    params = options(analyse, without={"runs"})
    command = click.Command("x", callback=lambda **given: found.update(given), params=params)
    return found, CliRunner().invoke(command, arguments)


def test_what_is_not_given_is_the_default_of_the_function() -> None:
    assert parsed()[0] == analyse.__kwdefaults__


def test_every_kind_of_option() -> None:
    given = (
        "--rule bins --layers --metric accuracy --confidence 0.9 --n-seeds 3 --baseline method=STL "
        "--against condition= --against a=b=c --group-by lr --group-by K --table x.csv"
    )
    assert parsed(*given.split())[0] == {
        "rule": "bins",
        "layers": True,
        "metric": "accuracy",
        "confidence": 0.9,
        "n_seeds": 3,
        "baseline": {"method": "STL"},
        "against": {"condition": "", "a": "b=c"},
        "group_by": ("lr", "K"),
        "table": "x.csv",
    }


def test_help_is_that_of_the_docstring() -> None:
    helps = {option.name: option.help for option in options(analyse, without={"runs"})}
    assert helps["rule"] == "How a score is read at a loss."
    assert helps["metric"] == helps["confidence"] == "Both."


def test_what_has_no_default_is_required() -> None:
    def correlate(*, x: str) -> None:
        """Correlate."""

    command = click.Command("x", callback=lambda x: None, params=options(correlate))
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 2
    assert "--x" in result.stderr


@pytest.mark.parametrize("wrong", [["--baseline", "STL"], ["--baseline", "=STL"], ["--rule", "x"]])
def test_wrong_values_are_refused(wrong: list[str]) -> None:
    _, result = parsed(*wrong)
    assert result.exit_code == 2
    assert f"'{wrong[1]}'" in result.stderr


def test_help_is_looked_up_where_it_was_said_first() -> None:
    said = {option.name: option.help for option in options(diagnose, without={"runs"})}
    first = {option.name: option.help for option in options(gap, without={"runs"})}
    assert said["selection_split"] == first["selection_split"]
    assert said["metric"].startswith("The metric to compare")


@pytest.mark.parametrize("name", ANALYSES)
def test_every_option_says_what_it_is(name: str) -> None:
    for option in options(resolve_name(f"trajlab.analysis:{name}"), without={"runs"}):
        assert len(option.help) > 10
        assert "As in" not in option.help
