"""A file of each format version, as it was written then, reads for ever."""

import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from trajlab.store import Trajectory
from trajlab.store.check import check

FORMAT = Path(__file__).parents[1] / "data" / "format"


def test_version_1_reads_as_it_was_written():
    path = FORMAT / "version-1.h5"
    assert check(path).problems == ()
    run = Trajectory(path)
    assert run.run_id == "01803b548de241c7832bce3d7deaee4a"
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
