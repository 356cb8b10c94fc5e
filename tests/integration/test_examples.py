"""Every example runs as a script, the slow imports behind it, and leaves a run worth reading."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.processes import said_by, torchrun
from trajlab.store import Trajectory

EXAMPLES = Path(__file__).parents[2] / "examples"
TESTED_ELSEWHERE = "libmtl_trainer"  # with LibMTL, if it is there: test_libmtl.py
SCRIPTS = sorted(p.stem for p in EXAMPLES.glob("*.py") if p.stem not in ("toy", TESTED_ELSEWHERE))


@pytest.mark.parametrize("script", SCRIPTS)
def test_example(tmp_path: Path, script: str) -> None:
    file = tmp_path / "run.h5"
    if script == "distributed":
        torchrun(EXAMPLES / f"{script}.py", file)
    else:
        said_by(EXAMPLES / f"{script}.py", [file], tmp_path)
    run = Trajectory(file)
    assert run.status == "complete"
    assert np.isfinite(run.table("losses")["loss"]).all()
    if script != "tensorboard_mirror":
        assert np.isfinite(run.gram()).all()


@pytest.mark.parametrize(
    ("script", "title", "told"),
    [
        ("alone_and_together", "8x8 digits: the ways of training compared", "task parity"),
        ("two_optimizers", "8x8 digits: the ways of training compared", "against method=sgd"),
        ("many_tasks", "8x8 digits: the ways of training compared", "Of 9 tasks"),
        ("model_sizes", "two-token language: the ways of training compared", "at equal tokens"),
    ],
)
def test_experiments_end_in_a_page(tmp_path: Path, script: str, title: str, told: str) -> None:
    printed = said_by(EXAMPLES / "experiments" / f"{script}.py", [tmp_path], tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert f"<h1>{title}</h1>" in page
    assert told in page
    assert "could not be drawn" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    said = printed[: printed.index("Page:")]
    alone = script in ("two_optimizers", "model_sizes")
    assert ("conflict" in said or "pairs of tasks" in said or "Batch gradients" in said) != alone
    if script == "model_sizes":  # one run a size
        sentences = said.split("\n  ")
        claims = [s for s in sentences if s[:1].isupper() and not s.startswith("Descriptive only")]
        assert claims == []
        assert said.index("method 3.9K") < said.index("method 43.1K")


def test_every_example_is_listed() -> None:
    readme = (EXAMPLES / "README.md").read_text()
    named = [name[: -len(".py")] for name in _links(readme)]
    experiments = sorted(
        p.stem for p in (EXAMPLES / "experiments").glob("*.py") if p.stem != "digits"
    )
    scripts = [*SCRIPTS, TESTED_ELSEWHERE]
    assert sorted(named) == sorted([*scripts, *(f"experiments/{name}" for name in experiments)])


def _links(text: str) -> list[str]:
    return [part.split(")")[0] for part in text.split("](")[1:]]


def test_fronts_are_measured_on_fresh_seeds(tmp_path: Path) -> None:
    printed = said_by(EXAMPLES / "experiments" / "fronts.py", [tmp_path], tmp_path)
    assert "signed distance" in printed
    assert "chosen and measured on the same runs" not in printed
