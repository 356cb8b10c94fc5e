"""Every notebook runs from top to bottom in a new folder."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook: Path, tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    copy = shutil.copy(notebook, folder)
    content = nbformat.read(copy, as_version=4)
    client = NotebookClient(content, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.execute()
