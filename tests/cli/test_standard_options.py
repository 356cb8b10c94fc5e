"""Every analysis takes the same options, whether or not it has a use for them."""

import click
import pytest

from trajlab.cli.main import main
from trajlab.report.catalog import ANALYSES


@pytest.mark.parametrize("name", ANALYSES)
def test_confidence_and_seed_are_taken_and_said_to_be_without_effect_where_they_are(
    name: str,
) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    helps = {
        option: str(parameter.help)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    unused = {option for option, told in helps.items() if told.startswith("No effect: ")}
    assert unused <= {"--confidence", "--seed"} <= helps.keys()
    if name in ("geometry", "weighting"):  # which describe, and draw nothing at random
        assert helps["--seed"] == "No effect: this analysis draws no random numbers."
    if name == "geometry":
        assert helps["--confidence"] == "No effect: this analysis gives no intervals."
    if name == "gap":
        assert not unused
