"""Where a run is said to come from."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

from trajlab.record.provenance import provenance


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_told_by_its_hash_whatever_tag_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scope in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{scope}", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@example.org")
    monkeypatch.chdir(tmp_path)

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit() -> str | None:
        found: str | None = provenance(nn.Linear(1, 1))["git_commit"]
        return found

    assert commit() is None
    git("init")
    assert commit() is None  # there is no commit yet
    (tmp_path / "train.py").write_text("1")
    git("add", "train.py")
    git("commit", "-m", "one")
    whole = git("rev-parse", "HEAD")
    assert len(whole) == 40
    assert commit() == whole
    git("tag", "-a", "v1", "-m", "one")
    assert commit() == whole
    (tmp_path / "train.py").write_text("2")
    assert commit() == f"{whole}-dirty"


def test_the_seed_is_that_of_torch_and_no_random_number_is_drawn() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        state = torch.get_rng_state()
        assert provenance(nn.Linear(1, 1, device="meta"))["seed"] == 7
        assert torch.equal(torch.get_rng_state(), state)


def test_the_device_is_that_of_the_first_parameter() -> None:
    assert provenance(nn.Linear(1, 1, device="meta"))["device"] == "meta"
    assert provenance(nn.Identity())["device"] == "cpu"
