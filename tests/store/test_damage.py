"""A bit flipped, or the end missing, at each byte of a small run: told, never a wrong number."""

import os

import numpy as np
import pytest

from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer, load, parts, standard
from trajlab.store.check import check

LOSSES = [0.5, 0.25]
SAMPLED = 499  # of so many bytes, one is damaged where reading takes long


def record(path, flushes, *, close):
    """Record a run of one row a flush, as small as they come."""
    writer = Writer(path, ["a", "b"])
    writer.declare(standard("losses", task=["a", "b"]).only("loss"))
    for step in range(flushes):
        writer.append("losses", {"step": step, "loss": LOSSES})
        writer.flush()
    if close:
        writer.close()
    else:
        writer._lock.release()
    return path


def damages(file, step=1):
    """Damage a file in every way, one after the other, and mend it in the end."""
    content = file.read_bytes()
    with open(file, "r+b", buffering=0) as target:
        for i in range(0, len(content), step):
            os.pwrite(target.fileno(), bytes([content[i] ^ (1 << i % 8)]), i)
            yield
            os.pwrite(target.fileno(), content[i : i + 1], i)
        for size in range(len(content) - 1, -1, -step):
            target.truncate(size)
            yield
        os.pwrite(target.fileno(), content + b"\0", 0)
        yield
        target.truncate(len(content))


@pytest.mark.parametrize("close", [True, False])
def test_a_run_of_one_file_is_refused(tmp_path, close):
    path = record(tmp_path / "run.h5", 1, close=close)
    told = "damaged|is not a trajectory file, or it is truncated"
    count = 0
    for _ in damages(path if close else parts.part(path, 1)):
        with pytest.raises(TrajlabError, match=told):
            load(path)
        if count % 8 == 0:
            (problem,) = check(path).problems
            assert "damaged" in problem or "truncated" in problem
        count += 1
    print(f"{count} damages")
    assert Trajectory(path).table("losses")["loss"].tolist() == [LOSSES]
    assert check(path).problems == ()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_parts_beside_a_damaged_one_are_read(tmp_path, number):
    path = record(tmp_path / "run.h5", 3, close=False)
    rest = [step for step in range(3) if step != number - 1]
    for _ in damages(parts.part(path, number), SAMPLED):
        with pytest.warns(UserWarning, match=f"{number:06}.h5 is .*; the rest was read"):
            (run,) = load(path)
        table = run.table("losses")
        assert table["step"].tolist() == rest
        np.testing.assert_array_equal(table["loss"], [LOSSES] * 2)
        assert check(path).problems == run.problems
