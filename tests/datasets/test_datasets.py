"""The runs that come with trajlab: whole, small, told truly, and enough for every command."""

import re
import zlib
from pathlib import Path

import numpy as np
import pytest

import trajlab
from tests.cli.conftest import call
from trajlab import datasets
from trajlab.errors import TrajlabError
from trajlab.report.catalog import ANALYSES

ROOT = Path(__file__).parents[2]
GRID = ("--group-by", "weight", "--group-by", "lr")
STAGES = ("--group-by", "stage", *GRID)
# what a newcomer would type first, for every analysis
ASKED = {
    "gap": ("digits-two-tasks",),
    "conflict": ("digits-two-tasks", "--layers"),
    "factors": ("fashion-mtl",),
    "correlate": ("digits-fronts", "--x", "min_train_loss", "--y", "final_metric", *STAGES),
    "front": ("digits-fronts", "--metric", "accuracy", *GRID, "--fresh", "stage=fresh"),
    "geometry": ("digits-two-tasks",),
    "weighting": ("digits-fronts", *STAGES),
}


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_every_run_is_whole_and_tells_nothing_of_the_machine(name: str) -> None:
    runs = datasets.load(name)
    assert len(runs) == len(list(datasets.folder(name).iterdir()))
    assert not runs.skipped
    for run in runs:
        assert run.status == "complete"
        assert not run.problems
        assert np.isfinite(run.table("losses")["loss"]).all()
        assert not any(Path(word).is_absolute() for word in run.provenance["command_line"])
        assert "/" not in str(run.metadata)


def test_a_whole_run_of_many_tables_has_no_problem() -> None:
    """HDF5 gives more than eight groups in another order than they were made."""
    (run, *_) = datasets.load("digits-two-tasks")
    assert len(run.tables) > 8
    assert call("check", run.path).exit_code == 0


def test_they_are_those_that_the_script_makes() -> None:
    made = (ROOT / "examples" / "packaged_runs" / "make.py").read_text()
    studies = {file.stem for file in (ROOT / "examples" / "packaged_runs").glob("*.toml")}
    assert set(datasets.DATASETS) == studies | set(re.findall(r'^    "(.+)": "', made, flags=re.M))
    folders = {folder.name for folder in datasets.folder("two-optimizers").parent.iterdir()}
    assert folders - {"__init__.py", "__pycache__"} == set(datasets.DATASETS)


def test_all_take_less_than_two_megabytes_of_the_wheel() -> None:
    files = (ROOT / "trajlab" / "datasets").glob("*/*.h5")
    assert sum(len(zlib.compress(file.read_bytes())) for file in files) < 2e6


def test_every_analysis_has_runs_that_it_works_on() -> None:
    assert set(ASKED) == set(ANALYSES)
    for command, (name, *options) in ASKED.items():
        result = call(command, datasets.folder(name), *options, "--json")
        assert result.exit_code == 0, result.stderr


def test_the_two_tasks_have_what_the_quickstart_finds() -> None:
    summary = trajlab.analysis.gap(datasets.load("digits-two-tasks")).summary
    rows = summary[summary["task"] == "first"].set_index("condition")
    assert rows.loc["+noisy", "delta_high"] < 0 < rows.loc["+same", "delta"]


def test_optimizers_and_sizes_compare_at_equal_loss_and_tokens() -> None:
    gap = trajlab.analysis.gap
    optimizers = gap(datasets.load("two-optimizers"), baseline={"method": "sgd"})
    assert optimizers.summary["delta"].notna().all()
    sizes = gap(datasets.load("model-sizes"), baseline={"method": "0.8K"}, x="tokens")
    assert (sizes.summary["delta"] > 0).all()


def test_a_copy_is_one_s_own(tmp_path: Path) -> None:
    listed = call("datasets").output
    assert all(name in listed for name in datasets.DATASETS)
    folder = tmp_path / "mine"
    done = call("datasets", "two-optimizers", folder)
    assert f"trajlab info {folder}" in done.output
    assert len(trajlab.load(folder)) == 6
    again = call("datasets", "two-optimizers", folder)
    assert again.exit_code == 2
    assert "--force" in again.stderr
    (folder / "sgd-0.h5").write_bytes(b"")
    assert call("datasets", "two-optimizers", folder, "--force").exit_code == 0
    assert not trajlab.load(folder).skipped


@pytest.mark.parametrize("name", ["digits", "../analysis", ""])
def test_an_unknown_name_is_told_with_those_there_are(name: str) -> None:
    with pytest.raises(TrajlabError, match="digits-two-tasks"):
        datasets.load(name)
