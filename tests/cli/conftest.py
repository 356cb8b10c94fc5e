"""The command line on the reference trajectories."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from trajlab.cli.main import main
from trajlab.study import quickstart

REFERENCE = Path(__file__).parents[1] / "data" / "fashion_mtl" / "fashion_mtl_trajectories.csv"
IMPORT = shlex.split(
    "--meta method=setting --meta seed=seed --const setting=FashionMTL --const task=fashion1 "
    "--step epoch --train-loss train_loss --metric accuracy=test_acc "
    "--quantity sharpness=sharpness --quantity gradient_covariance=grad_cov --quantity fisher=fim"
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


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a short quickstart filled: 2 seeds a condition, 2 epochs."""
    torch.set_num_threads(1)  # so small a network is slower on several
    folder = tmp_path_factory.mktemp("quickstart") / "runs"
    plans = quickstart.plans(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quickstart, "plans", lambda _: [replace(plan, epochs=2) for plan in plans])
        result = call("quickstart", folder)
    assert result.exit_code == 0
    (folder / "printed.txt").write_text(result.stdout)
    return folder
