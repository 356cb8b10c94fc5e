"""Every example runs as a user would run it, and leaves a run worth reading."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trajlab.store import Trajectory

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "toy")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_example(tmp_path: Path, script: str) -> None:
    launcher = TORCHRUN if script == "distributed" else []
    file = tmp_path / "run.h5"
    done = subprocess.run(
        [sys.executable, *launcher, str(EXAMPLES / f"{script}.py"), str(file)],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run = Trajectory(file)
    assert run.status == "complete"
    assert np.isfinite(run.table("losses")["loss"]).all()
    if script != "tensorboard_mirror":
        assert np.isfinite(run.gram()).all()


def test_every_example_is_listed() -> None:
    readme = (EXAMPLES / "README.md").read_text()
    assert sorted(name[: -len(".py")] for name in _links(readme)) == SCRIPTS


def _links(text: str) -> list[str]:
    return [part.split(")")[0] for part in text.split("](")[1:]]
