"""Every notebook runs from top to bottom in a new folder, and the demo gives what README tells."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import trajlab

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the notebook was run from top to bottom."""
    place = tmp_path_factory.mktemp(request.param.stem)
    folder = place / "notebooks"
    folder.mkdir()
    content = nbformat.read(shutil.copy(request.param, folder), as_version=4)
    client = NotebookClient(content, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.execute()
    return place


def test_notebook_runs_and_its_demo_gives_what_the_readme_tells(place: Path) -> None:
    """The numbers are held to half a unit of their last place."""
    text = (ROOT / "README.md").read_text()
    (told,) = re.findall(
        r"ends ([\d.]+) points lower.* from a loss of ([\d.]+) down\. .* "
        r"ends ([\d.]+) points higher \[([\d.]+), ([\d.]+)\]",
        text,
    )
    lower, onset, higher, low, high = map(float, told)
    summary = trajlab.analysis.gap(trajlab.load(place / "runs" / "quickstart")).summary
    rows = summary[summary["task"] == "first"].set_index("condition")
    noisy, same = rows.loc["+noisy"], rows.loc["+same"]
    assert -noisy["delta"] == pytest.approx(lower, abs=0.05)
    assert noisy["delta_high"] < 0
    assert (noisy["sign"], noisy["onset_loss"]) == (-1, pytest.approx(onset, abs=0.0005))
    assert same["delta"] == pytest.approx(higher, abs=0.05)
    assert same["delta_low"] == pytest.approx(low, abs=0.005)
    assert same["delta_high"] == pytest.approx(high, abs=0.05)
