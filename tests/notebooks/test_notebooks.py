"""Every notebook runs from top to bottom in a new folder, and is kept without its outputs."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import trajlab

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # `!trajlab` is the command of this environment
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    content = nbformat.read(file, as_version=4)
    assert not any(cell.get("outputs") for cell in content.cells)
    NotebookClient(content, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "".join(
        output.get("text", "") for cell in content.cells for output in cell.get("outputs", ())
    )
    assert "Error:" not in said  # of a command in a cell


def test_the_readme_tells_what_its_runs_give() -> None:
    """The numbers are held to half a unit of their last place."""
    summary = trajlab.analysis.gap(trajlab.datasets.load("digits-two-tasks")).summary
    rows = summary[summary["task"] == "first"].set_index("condition")
    noisy, same = rows.loc["+noisy"], rows.loc["+same"]
    told = (
        f"ends {-noisy['delta']:.1f} points lower, and the gap is there at equal training loss, "
        f"from a loss of {noisy['onset_loss']:.3f} down. Beside a second task of its own kind it "
        f"ends {same['delta']:.1f} points higher "
        f"[{same['delta_low']:.2f}, {same['delta_high']:.1f}]"
    )
    assert told in (NOTEBOOKS[0].parents[1] / "README.md").read_text()
