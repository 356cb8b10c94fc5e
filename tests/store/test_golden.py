"""A file of each format version, as it was written then, reads for ever."""

import gzip
import json
import shutil
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer
from trajlab.store.check import check
from trajlab.store.repair import repair

FORMAT = Path(__file__).parents[1] / "data" / "format"


RUN_IDS = {1: "01803b548de241c7832bce3d7deaee4a", 2: "b219be6c67624a4982d8329013546890"}


@pytest.mark.parametrize("version", [1, 2])
def test_each_version_reads_as_it_was_written(version):
    path = FORMAT / f"version-{version}.h5"
    assert check(path).problems == ()
    run = Trajectory(path)
    assert run.run_id == RUN_IDS[version]
    assert run.tasks == ["left", "rechts é"]
    assert run.shared == ["trunk.weight"]
    assert run.metadata == {"setting": "digits", "seed": 3}
    assert run.status == "recording"
    assert run.provenance == {"versions": {"python": "3.12"}}
    assert run.tables == ("losses", "evaluations/test", "gradients", "hessian")
    losses = run.table("losses")
    # the second session resumed from step 2
    assert losses["step"].tolist() == [0, 1, 2]
    assert losses["loss"].tolist() == [[0.5, 0], [1.5, -1], [20, -20]]
    assert len(run.table("evaluations/test")["step"]) == 0  # made at step 3
    gradients = run.table("gradients")
    assert gradients.attributes == {"complete": True, "estimator": "exact"}
    assert (
        gradients["gram"].tolist()
        == (np.arange(8).reshape(2, 2, 2)[None] + [[[[0]]], [[[1]]]]).tolist()
    )
    hessian = run.table("hessian")
    assert hessian["converged"].tolist() == [[True, False]]
    assert hessian["reason"].tolist() == [["", "no double backward"]]


@pytest.mark.parametrize("version", [1, 2])
def test_each_version_is_resumed_and_sealed(tmp_path, version):
    for name in (f"version-{version}.h5", f"version-{version}.h5.parts"):
        copy = shutil.copytree if name.endswith(".parts") else shutil.copy
        copy(FORMAT / name, tmp_path / name.replace(f"version-{version}", "run"))
    path = tmp_path / "run.h5"
    writer = Writer(path, ["left", "rechts é"], resume=True)
    writer.append("losses", {"step": 3, "loss": [30, -30]})
    writer.flush()
    for _ in range(2):
        assert Trajectory(path).table("losses")["loss"].tolist()[2:] == [[20, -20], [30, -30]]
        writer.close()
    assert check(path).problems == ()
    assert repair(FORMAT / f"version-{version}.h5", tmp_path / "saved.h5") == ()
    assert Trajectory(tmp_path / "saved.h5").table("losses")["step"].tolist() == [0, 1, 2]


def test_the_specification_of_version_2_is_enough_to_read_both_files():
    """Index and frames, read once more from ``docs/format.md`` alone."""
    content = (FORMAT / "version-2.h5").read_bytes()
    offset, length, crc, magic = struct.unpack("<QQI8s", content[-28:])
    assert magic == b"trajlab2"
    index = content[offset : offset + length]
    assert crc == zlib.crc32(content[-28:-12], zlib.crc32(index))
    facts = json.loads(index)
    (places,) = [columns for name, _, columns in facts["rows"] if name == "losses"]
    first, size, crc = places["loss"]
    assert crc == zlib.crc32(content[first : first + size])
    assert np.frombuffer(content[first : first + size]).tolist() == [0.5, 0, 1.5, -1, 2.5, -2]
    log = (FORMAT / "version-2.h5.parts" / "000002.log").read_bytes()
    assert log[:8] == b"\ntrajlog"
    slots = [struct.unpack_from("<QI", log, at) for at in (8, 24)]
    assert len(log) == max(n for n, c in slots if c == zlib.crc32(n.to_bytes(8, "little")))
    magic, told, body, crc = struct.unpack_from("<4sIQI", log, 40)
    assert magic == b"\x02tlf"
    assert crc == zlib.crc32(log[60 : 60 + told], zlib.crc32(log[40:56]))
    facts = json.loads(log[60 : 60 + told])
    ((name, rows, places),) = facts["rows"]
    assert (name, rows, 60 + told + body) == ("losses", 1, len(log))
    first, size, crc = places["loss"]
    assert np.frombuffer(log[60 + told + first :][:size]).tolist() == [20, -20]


@pytest.mark.parametrize("name", ["version-1.h5", "version-1.h5.parts/000002.h5"])
def test_the_specification_is_enough_to_verify_and_read(name):
    """The seal and the layout, written once more from ``docs/format.md`` alone."""
    content = (FORMAT / name).read_bytes()
    magic, length, extents, crc = struct.unpack("<8sQII", content[-24:])
    assert (magic, extents) == (b"\ntrajlab", 0)
    assert length + 24 == len(content)
    assert crc == zlib.crc32(content[:-4])
    with h5py.File(FORMAT / name) as file:
        assert (file.attrs["format"], file.attrs["format_version"]) == ("trajlab", 1)
        loss = file["losses/loss"]
        assert [d[0].name for d in loss.dims] == ["/losses/step", "/losses/task"]
        assert loss.attrs["crc32"] == zlib.crc32(loss[...].astype("<f8").tobytes())
        tasks = file["losses/task"].asstr()[...]
        assert file["losses/task"].attrs["crc32"] == zlib.crc32("\0".join(tasks).encode())


def test_a_column_larger_than_what_is_read_at_once_reads_as_it_was_written(tmp_path):
    """1,300 rows of 1,000 numbers, 5 MiB: its checksum is compared over several portions."""
    path = tmp_path / "run.h5"
    packed = (FORMAT / "version-2-large.h5.gz").read_bytes()
    path.write_bytes(gzip.decompress(packed))
    assert check(path).problems == ()
    table = Trajectory(path).table("wide")
    expected = np.arange(1000) % 16 + np.arange(1300)[:, None] % 3
    np.testing.assert_array_equal(table["value"], expected)
    portions = list(table.portions("value", 2**20))
    assert len(portions) > 4
    np.testing.assert_array_equal(np.concatenate(portions), expected)
    content = bytearray(path.read_bytes())
    at = content.index(expected[1299].astype("<f4").tobytes())  # rows of one kind stand often
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrajlabError, match="checksum of column value of table wide"):
        Trajectory(path).table("wide")["value"]
