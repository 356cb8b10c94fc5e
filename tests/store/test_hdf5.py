"""What HDF5 takes for a file, and what of a run it is given to write and read."""

import io
import json
import os
import resource
import sys
import time
import zlib

import h5py
import numpy as np
import pytest

from trajlab.store.hdf5 import __main__ as reader
from trajlab.store.hdf5 import image, member, process
from trajlab.store.hdf5.disk import Longer, Unrefusing
from trajlab.store.hdf5.index import index


class Slow:
    """A file that takes three bytes at a time, and no more than so many in all."""

    def __init__(self, room=99):
        self.content, self.at, self.room = bytearray(), 0, room

    def seek(self, offset, whence=os.SEEK_SET):
        self.at = offset + (len(self.content) if whence == os.SEEK_END else 0)
        return self.at

    def write(self, view):
        taken = bytes(view[: min(3, self.room - self.at)])
        if not taken:
            raise OSError(28, "No space left on device")
        self.content[self.at : self.at + len(taken)] = taken
        self.at += len(taken)
        return len(taken)

    def readinto(self, view):
        taken = self.content[self.at : self.at + len(view)]
        view[: len(taken)] = taken
        return len(taken)

    def truncate(self, size):
        del self.content[size:]


def test_a_disk_takes_all_that_is_written_and_reads_zeros_behind_its_end():
    file = Slow()
    disk = Unrefusing(file)
    assert disk.write(b"12345678") == 8
    assert disk.seek(2) == disk.tell() == 2
    assert disk.write(np.frombuffer(b"abcd", np.uint16)) == 4
    assert disk.tell() == 6
    buffer = bytearray(b"once")
    assert disk.readinto(buffer) == 4
    assert buffer == b"78\0\0"
    assert disk.tell() == 10
    assert disk.seek(-1, os.SEEK_END) == 7
    disk.truncate(7)
    disk.check()
    assert bytes(file.content) == b"12abcd7"


def test_the_first_refusal_is_kept_and_nothing_written_after_it(monkeypatch):
    file = Slow(room=4)
    disk = Unrefusing(file)
    assert disk.write(b"12345678") == 8
    assert disk.tell() == 8
    first = disk.refusal
    disk.seek(0)
    assert disk.write(b"x") == 1
    assert disk.truncate(0) == 0
    assert bytes(file.content) == b"1234"
    with pytest.raises(OSError, match="No space left") as raised:
        disk.check()
    assert raised.value is first
    whole = Slow()
    disk = Unrefusing(whole)
    monkeypatch.setattr(os, "getpid", lambda: -1)  # a forked process writes what it inherited
    assert disk.write(b"12") == 2
    assert (bytes(whole.content), disk.refusal) == (b"", None)


def test_a_file_that_was_cut_off_goes_on_with_zeros_and_takes_nothing():
    file = Slow()
    file.write(b"abc")
    longer = Longer(file, 8)
    assert longer.seek(0, os.SEEK_END) == 8
    longer.seek(1)
    assert longer.read(7) == b"bc\0\0\0\0\0"
    longer.truncate(0)
    with pytest.raises(OSError, match="open for reading"):
        longer.write(b"x")
    assert bytes(file.content) == b"abc"


@pytest.fixture
def file():
    with h5py.File("none.h5", "w", driver="core", backing_store=False) as made:
        yield made


@pytest.mark.parametrize(
    ("one", "most"), [(0.5, 48 * 2**10 // 8), ("é", 48 * 2**10 // 16), (True, 48 * 2**10)]
)
def test_attributes_that_hdf5_cannot_hold_are_json(file, one, most):
    image._write_attributes(file, {"held": [one] * most, "long": [one] * (most + 1)})
    assert member.plain(file.attrs["held"]) == [one] * most
    assert json.loads(file.attrs["long"]) == [one] * (most + 1)


def test_attributes_come_back_as_they_were(file):
    told = {"text": "é" * 10**5, "number": 3, "none": [], "texts": ["a", ""], "flag": False}
    image._write_attributes(file, told)
    assert {name: member.plain(file.attrs[name]) for name in told} == told
    assert h5py.check_string_dtype(file.attrs.get_id("none").dtype)  # as with texts in it


@pytest.mark.parametrize("portion", [1, 24, 47, 48, 10**6])
@pytest.mark.parametrize("shape", [(5, 3), (4, 0), (0, 3), (5,)])
def test_the_checksum_of_a_data_set_is_that_of_its_bytes(file, monkeypatch, portion, shape):
    monkeypatch.setattr(member, "_PORTION", portion)
    values = np.arange(np.prod(shape), dtype="f8").reshape(shape)
    item = file.create_dataset("x", data=values)
    assert member.checksum(item) == zlib.crc32(values.tobytes())


def test_a_large_data_set_is_read_in_few_portions(file, monkeypatch):
    taken = []
    monkeypatch.setattr(member.rows, "crc32", lambda content, crc: taken.append(len(content)) or 0)
    member.checksum(file.create_dataset("x", (9 * 2**17, 1), "f8"))
    assert taken == [4 * 2**17, 4 * 2**17, 2**17]


def test_tables_lie_in_sixteen_groups_at_most(tmp_path):
    """Without a limit, a group that is a member of itself would be read for ever."""
    path = str(tmp_path / "file.h5")
    name = "/".join(["group"] * 16 + ["table"])
    with h5py.File(path, "w") as file:
        table = file.create_group(name)
        table.attrs.update(key=["step"], kind="training")
        table["step"] = np.arange(3)
        table["step"].make_scale("step")
        table["step"].attrs["crc32"] = np.uint32(zlib.crc32(np.arange(3).tobytes()))
    for lenient in (False, True):
        facts = index(path, lenient=lenient)
        assert [own["name"] for own in facts["tables"]] == [name]
        assert (facts["lost"], facts["problems"]) == ([], [])
    for spoil in (
        lambda file: file.move("group", "another/group"),
        lambda file: file.__setitem__("another/group/itself", file["another/group"]),
    ):
        with h5py.File(path, "r+") as file:
            spoil(file)
        with pytest.raises(member.RefusedError, match="its groups lie too deep in each other"):
            index(path, lenient=False)
        facts = index(path, lenient=True)
        assert facts["tables"] == []
        assert facts["lost"][0].endswith("is lost (its groups lie too deep in each other)")


def test_a_reader_says_that_it_is_ready_and_answers_line_by_line(tmp_path, monkeypatch, capsys):
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: limits.append((kind, pair)))
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file.attrs["run_id"] = "own"
    asked = [{"path": str(path.with_name(n)), "lenient": False} for n in ("file.h5", "none.h5")]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(a) + "\n" for a in asked)))
    before = time.process_time()
    reader.main()
    ready, *answers = capsys.readouterr().out.splitlines()
    assert ready == "ready"  # only then its start is not counted as part of an answer
    found, missed = map(json.loads, answers)
    assert found["header"] == {"run_id": "own"}
    assert "No such file" in missed["error"]
    first, second, *each = limits
    assert first == (resource.RLIMIT_CORE, (0, 0))
    assert second == (resource.RLIMIT_DATA, (768 * 2**20, 768 * 2**20))
    assert [kind for kind, _ in each] == [resource.RLIMIT_CPU] * 2
    for _, (soft, hard) in each:
        assert int(before) + 4 <= soft <= time.process_time() + 4
        assert hard == resource.getrlimit(resource.RLIMIT_CPU)[1]


def test_a_reader_finds_what_we_find_and_works_on_one_thread(tmp_path, monkeypatch):
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\necho "$*"\nenv\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(sys, "path", ["/first", "/second"])
    for name, value in {"PYTHONPATH": "/other", "OMP_NUM_THREADS": "7", "KEPT": "so"}.items():
        monkeypatch.setenv(name, value)
    said, _ = process._begun().communicate()
    command, *lines = said.decode().splitlines()
    assert command == "-m trajlab.store.hdf5"
    assert {
        "PYTHONPATH=/first:/second",
        "OMP_NUM_THREADS=1",
        "OPENBLAS_NUM_THREADS=1",
        "KEPT=so",
    } <= {*lines}
