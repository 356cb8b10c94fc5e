"""The command line on the reference trajectories."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trajlab.cli.main import main

REFERENCE = Path(__file__).parents[1] / "data" / "fashion_mtl" / "fashion_mtl_trajectories.csv"
IMPORT = shlex.split(
    "--meta method=setting --meta seed=seed --const setting=FashionMTL --const task=fashion1 "
    "--step epoch --train-loss train_loss --metric accuracy=test_acc --quantity fisher=fim"
)

Trajlab = Callable[..., Result]


def call(*arguments: object) -> Result:
    """Run ``trajlab`` with arguments; what is no exit is a bug and raised."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def trajlab() -> Trajlab:
    return call


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the nine runs of the reference, baseline ``method=STL``."""
    folder = tmp_path_factory.mktemp("reference") / "runs"
    assert call("import", "csv", REFERENCE, "--out", folder, *IMPORT).exit_code == 0
    return folder
