"""Random bits flipped in a file that is then salvaged: no wrong number, nothing lost in silence."""

import os
from collections import Counter

import numpy as np
import pytest

from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer, standard
from trajlab.store.repair import repair

FLIPS = int(os.environ.get("TRAJLAB_FLIPS", "200"))
TASKS = ["left", "right"]


def columns(path):
    run = Trajectory(path)
    return {(t, name): run.table(t)[name] for t in run.tables for name in run.table(t)}


def outcome(path, out, expected):
    """Repair a file, and say in one word what became of it."""
    out.unlink(missing_ok=True)
    try:
        lost = repair(path, out)
    except TrajlabError:
        return "nothing"
    found = columns(out)
    for key, values in found.items():
        if key not in expected or not np.array_equal(
            values, expected[key], equal_nan=values.dtype.kind == "f"
        ):
            return "wrong"
    if expected.keys() - found.keys():
        return "some" if lost else "silent"
    return "all"


@pytest.mark.filterwarnings("ignore:.* (lost|damaged)")
def test_what_is_salvaged_is_what_was_written(tmp_path):
    generator = np.random.default_rng(0)
    writer = Writer(tmp_path / "run.h5", TASKS, metadata={"seed": 1})
    for name in ("losses", "hessian"):
        writer.declare(standard(name, task=TASKS))
    for step in range(20):
        writer.append("losses", {"step": step, "loss": generator.normal(size=2)})
        writer.append(
            "hessian", {"step": step, "top": generator.normal(size=2), "reason": ["", "é"]}
        )
    writer.close()
    expected, content = columns(writer.path), writer.path.read_bytes()
    damaged = tmp_path / "damaged.h5"
    outcomes: Counter[str] = Counter()
    for _ in range(FLIPS):
        flipped = bytearray(content)
        flipped[generator.integers(len(content))] ^= 1 << int(generator.integers(8))
        damaged.write_bytes(flipped)
        outcomes[outcome(damaged, tmp_path / "saved.h5", expected)] += 1
    print(f"{FLIPS} flips: {dict(outcomes)}")
    assert not outcomes["wrong"]
    assert not outcomes["silent"]
    assert outcomes["all"]
    assert outcomes["some"]
