"""The CI of a public forge runs targets of the Makefile, on Pythons that the package supports."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
JOBS = WORKFLOW["jobs"]


def test_every_command_is_a_target_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    commands = [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]
    assert "make test" in commands
    for command in commands:
        make, target, *_ = command.split()
        assert make == "make"
        assert target in targets


def test_the_oldest_python_is_the_oldest_supported() -> None:
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert oldest is not None
    assert JOBS["test"]["strategy"]["matrix"]["python"][0] == oldest[1]
