"""The CI of a public forge runs targets of the Makefile, on Pythons that the package supports."""

import re
import tomllib
from pathlib import Path

import yaml

from tests.packaging.wheel import supported

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
JOBS = WORKFLOW["jobs"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_command_is_a_target_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    commands = [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]
    assert "make test" in commands
    for command in commands:
        make, target, *_ = command.split()
        assert make == "make"
        assert target in targets


def test_wheel_and_tests_are_tried_on_every_python_of_the_classifiers_and_both_systems() -> None:
    for name in ("test", "wheel"):
        matrix = JOBS[name]["strategy"]["matrix"]
        assert matrix["python"] == supported()
        assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos"}
    assert f">={supported()[0]}" == PROJECT["requires-python"]


def test_the_lowest_versions_are_tried_on_the_oldest_python() -> None:
    steps = JOBS["lowest"]["steps"]
    assert steps[-1]["run"] == "make lowest-test"
    assert steps[1]["with"]["python-version"] == supported()[0]


def test_the_lowest_versions_are_tried_on_tests_that_are_there() -> None:
    (paths,) = re.findall(r"^LOWEST := (.*)$", (ROOT / "Makefile").read_text(), flags=re.M)
    assert [path for path in paths.split() if not (ROOT / path).exists()] == []


def test_every_target_is_told_to_make_and_no_other() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.M)
    assert sorted(phony.split()) == sorted(re.findall(r"^([a-z-]+):", makefile, flags=re.M))
