"""A file that was opened is held: what takes its place later takes nothing from who reads it."""

import os
import zlib

import pytest

from trajlab.errors import TrajlabError
from trajlab.store import pool
from trajlab.store.pool import File


def replace(path, content):
    other = path.with_name("other")
    other.write_bytes(content)
    os.replace(other, path)


def test_what_was_opened_is_read_though_another_file_took_its_name(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    file = File(path)
    replace(path, b"behind")
    assert not file.unchanged()
    assert file.read(0, 6).tobytes() == b"before"
    assert File(path).read(0, 6).tobytes() == b"behind"


def test_beyond_the_limit_the_oldest_is_opened_again_if_it_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "OPEN", 2)
    paths = [tmp_path / str(i) for i in range(3)]
    for path in paths:
        path.write_bytes(b"before")
    files = [File(path) for path in paths]  # the first one is closed by now
    assert files[0].read(0, 6).tobytes() == b"before"  # and now the second one
    replace(paths[1], b"behind")
    replace(paths[2], b"behind")
    with pytest.raises(TrajlabError, match="was rewritten since it was opened; load it again"):
        files[1].read(0, 6)
    assert files[2].read(0, 6).tobytes() == b"before"


@pytest.mark.parametrize("portion", [1, 4, 7, 64])
def test_a_checksum_that_is_read_in_portions_is_that_of_the_whole(tmp_path, monkeypatch, portion):
    monkeypatch.setattr(pool, "_CHUNK", portion)
    path = tmp_path / "file"
    content = bytes(range(20))
    path.write_bytes(content)
    file = File(path)
    assert file.checksum(3, 12) == zlib.crc32(content[3:15])
    assert file.checksum(15, 5, zlib.crc32(content[:15])) == zlib.crc32(content)
    assert file.checksum(3, 0, 5) == 5


def test_a_checksum_of_a_large_file_is_read_in_few_portions(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, 9 * 2**20)
    read, taken = File.read, []

    def told(file, offset, size):
        taken.append(size)
        return read(file, offset, size)

    monkeypatch.setattr(File, "read", told)
    assert File(path).checksum(0, 9 * 2**20) == zlib.crc32(bytes(9 * 2**20))
    assert taken == [4 * 2**20, 4 * 2**20, 2**20]
