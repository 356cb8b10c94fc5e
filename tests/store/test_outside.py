"""Files whose HDF5 content points to other files: nothing of those is ever read."""

import os
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.store.resealing import index_of, resealed
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer, standard
from trajlab.store.check import check
from trajlab.store.repair import repair

GOLDEN = Path(__file__).parents[1] / "data" / "format" / "version-1.h5"
SECRET = np.full((3, 2), 7777.25)


def external_link(table, folder):
    table["learning_rate"] = h5py.ExternalLink(str(folder / "other.h5"), "/secret")


def soft_link(table, folder):
    table["learning_rate"] = h5py.SoftLink("/gradients/gram")


def link_to_a_pipe(table, folder):
    os.mkfifo(folder / "pipe")
    table["learning_rate"] = h5py.ExternalLink(str(folder / "pipe"), "/secret")


def external_storage(table, folder):
    where = [(str(folder / "secret"), 0, SECRET.nbytes)]
    described(table, table.create_dataset("learning_rate", (3, 2), "f8", external=where))


def virtual(table, folder):
    layout = h5py.VirtualLayout((3, 2), "f8")
    layout[...] = h5py.VirtualSource(str(folder / "other.h5"), "secret", (3, 2))
    described(table, table.create_virtual_dataset("learning_rate", layout))


def compressed(table, folder):
    described(table, table.create_dataset("learning_rate", data=SECRET, compression="gzip"))


def described(table, item):
    item.attrs.update(units="", description="", crc32=np.uint32(zlib.crc32(SECRET.tobytes())))
    for dimension, axis in zip(item.dims, ("step", "task"), strict=True):
        dimension.attach_scale(table[axis])


WAYS = [external_link, soft_link, link_to_a_pipe, external_storage, virtual, compressed]


@pytest.fixture
def others(tmp_path):
    """Files beside the run, whose numbers are a secret."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = SECRET
    (tmp_path / "secret").write_bytes(SECRET.tobytes())
    return tmp_path


def changed(content, path, way):
    """Put a column that is elsewhere into an HDF5 file, and return the bytes of that file."""
    path.write_bytes(content)
    with h5py.File(path, "r+") as file:
        del file["losses/learning_rate"]
        way(file["losses"], path.parent)
    return path.read_bytes()


def values(path):
    run = Trajectory(path)
    return {(n, c): run.table(n)[c] for n in run.tables for c in run.table(n)}


@pytest.mark.filterwarnings("ignore:.* lost")
@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_version_1_with_a_right_seal_is_refused(others, way):
    path = others / "run.h5"
    image = changed(GOLDEN.read_bytes()[:-24], path, way)
    end = struct.pack("<8sQI", b"\ntrajlab", len(image), 0)
    path.write_bytes(image + end + struct.pack("<I", zlib.crc32(end, zlib.crc32(image))))
    with pytest.raises(TrajlabError, match=r"link to elsewhere|not stored in one piece"):
        Trajectory(path)
    assert any("link" in p or "one piece" in p for p in check(path).problems)
    lost = repair(path, others / "saved.h5")
    assert any("learning_rate" in sentence for sentence in lost)
    saved = values(others / "saved.h5")
    assert ("losses", "loss") in saved
    assert not any(7777.25 in list(v.flat) for v in saved.values())


@pytest.mark.parametrize("way", WAYS[:-1])  # a compressed column takes the place of another
def test_a_file_of_version_2_is_read_by_its_index_and_check_tells(others, way):
    path = others / "run.h5"
    writer = Writer(path, ["a", "b"])
    writer.declare(standard("losses", task=["a", "b"]))
    for step in range(3):
        writer.append("losses", {"step": step, "learning_rate": step, "loss": [step, 1]})
    writer.close()
    content = path.read_bytes()
    before = values(path)
    facts, offset = index_of(content)
    image = changed(content[: facts["image"]], path, way)[: facts["image"]]
    path.write_bytes(resealed(image + content[facts["image"] : offset], facts))
    for key, array in values(path).items():
        np.testing.assert_array_equal(array, before[key])
    assert check(path).problems


@pytest.mark.filterwarnings("ignore:.* lost")
@pytest.mark.parametrize("labels", [False, True])
def test_texts_that_are_stored_once_and_told_many_times_are_refused(tmp_path, labels):
    """A bomb: eight references to one text of a megabyte, in a file with a right seal."""
    path = tmp_path / "run.h5"
    path.write_bytes(GOLDEN.read_bytes()[:-24])
    text = "x" * 2**20
    with h5py.File(path, "r+") as file:
        table = file["losses"]
        size = (8,) if labels else table["loss"].shape
        item = table.create_dataset("bomb", size, h5py.string_dtype())
        item[0] = text
        item.attrs.update(units="", description="")
        item.attrs["crc32"] = np.uint32(zlib.crc32("\0".join([text] * 8).encode()))
        if labels:
            item.make_scale("bomb")
        else:
            for dimension, axis in zip(item.dims, ("step", "task"), strict=True):
                dimension.attach_scale(table[axis])
        place = item.id.get_offset()
    image = bytearray(path.read_bytes())
    image[place : place + 128] = image[place : place + 16] * 8
    end = struct.pack("<8sQI", b"\ntrajlab", len(image), 0)
    path.write_bytes(image + end + struct.pack("<I", zlib.crc32(end, zlib.crc32(image))))
    with pytest.raises(TrajlabError, match="texts are longer than the file"):
        Trajectory(path)
    assert any("texts" in sentence for sentence in repair(path, tmp_path / "saved.h5"))
    assert ("losses", "loss") in values(tmp_path / "saved.h5")


def test_a_header_that_names_a_task_twice_is_refused(tmp_path):
    path = tmp_path / "run.h5"
    Writer(path, ["a", "b"]).close()
    content = path.read_bytes()
    facts, offset = index_of(content)
    facts["header"]["tasks"] = ["a", "a"]
    path.write_bytes(resealed(content[:offset], facts))
    with pytest.raises(TrajlabError, match="its header is none"):
        Trajectory(path)
