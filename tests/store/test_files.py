"""Files that take the place of others, and what they must not take the place of."""

import os
import stat
from pathlib import Path

import pytest

from trajlab.report.files import refuse_existing, write
from trajlab.store.files import replacing


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    """As root, `--csv /dev/null --force` once put a file in the place of the device."""
    pipe, descriptor = tmp_path / "pipe", tmp_path / "stdout"
    os.mkfifo(pipe)
    reader, writer = (os.open(pipe, kind | os.O_NONBLOCK) for kind in (os.O_RDONLY, os.O_RDWR))
    descriptor.symlink_to(f"/proc/self/fd/{writer}")  # as /dev/stdout is
    try:
        for path in (pipe, descriptor):
            refuse_existing([path], force=False)
            write(path, b"rows")
            assert os.read(reader, 10) == b"rows"
    finally:
        os.close(reader)
        os.close(writer)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["pipe", "stdout"]


@pytest.mark.parametrize("before", [b"old", None])
def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path, before: bytes | None) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    if before is not None:
        target.write_bytes(before)
    link.symlink_to(target)
    with replacing(link) as unfinished:
        unfinished.write_bytes(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["link", "target"]
