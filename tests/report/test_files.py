import os
from pathlib import Path

import pytest

from trajlab.errors import TrajlabError
from trajlab.report.files import refuse_existing, write


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")

    def fail(self: Path, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content[:3])
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        write(path, b"new page")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_folder_is_no_file_even_with_force(tmp_path: Path) -> None:
    with pytest.raises(TrajlabError, match="is a folder"):
        refuse_existing([tmp_path], force=True)


def test_what_could_not_be_written_is_told_before(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "page.html"
    refuse_existing([file], force=False)
    file.touch()
    refuse_existing([file], force=True)
    with pytest.raises(TrajlabError, match=r"page\.html exists; name another file, or replace it"):
        refuse_existing([tmp_path / "new.csv", file], force=False)
    for force in (False, True):
        with pytest.raises(TrajlabError, match="none is no folder; create it"):
            refuse_existing([tmp_path / "none" / "page.html"], force=force)
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (tmp_path, os.W_OK))
    with pytest.raises(TrajlabError, match="is read-only; name a file in another folder"):
        refuse_existing([file], force=True)


def test_a_file_is_replaced_and_never_rewritten_in_place(tmp_path: Path) -> None:
    path, held = tmp_path / "page.html", tmp_path / "held.html"
    path.write_text("old")
    os.link(path, held)  # stands for a reader that has the old file open
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert held.read_text() == "old"
