"""What HDF5 takes for a file, and what of a run it is given to write and read."""

import json
import os
import zlib

import h5py
import numpy as np
import pytest

from trajlab.store.hdf5 import image, member
from trajlab.store.hdf5.disk import Longer, Unrefusing


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
