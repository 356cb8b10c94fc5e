"""Every state that a crash between or inside two file operations can leave is read back."""

import os
import shutil
from collections import Counter

import h5py
import numpy as np
import pytest

from tests.crash.disk import Record, put, states
from tests.crash.trainer import TASKS, append, read
from trajlab.store import Writer, frames, standard

PATH = "run.h5"
FULL = "TRAJLAB_KILLS" in os.environ  # set by make crash-test
STEPS = 24 if FULL else 12
POWER_LOSSES = 3 if FULL else 1


@pytest.fixture
def recorded(place, monkeypatch):
    """The operations of a run that is recorded, merged while recording, closed and resumed."""
    root = place / "root"
    root.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("trajlab.store.resume.MERGE_PARTS", 3)
        patch.setattr("trajlab.store.journal.ROTATE_BYTES", 5000)
        record = Record(patch, root)
        for first in range(0, STEPS, STEPS // 3):
            writer = Writer(root / PATH, TASKS, resume=True)
            for name in ("losses", "evaluations/test"):
                writer.declare(standard(name, task=TASKS))
            for step in range(first, first + STEPS // 3):
                append(writer, 0, step)
                if step % 2:
                    writer.flush()
                    record.acknowledge(step + 1)
            writer.close("recording")
    return root, record.operations


def replay(root, operations, place, check, power_losses):
    """Count good and bad states by kind; a state that was seen before is not read again."""
    good, bad = Counter(), Counter()
    seen = {}
    for kind, acknowledged, tree in states(operations, root, power_losses):
        state = (acknowledged, hash(frozenset(tree.items())))
        if state in seen:
            seen[state][kind] += 1
            continue
        put(tree, root, place)
        try:
            check(place / PATH, acknowledged)
        except (AssertionError, OSError, KeyError, RuntimeError, ValueError, UserWarning):
            seen[state] = bad
        else:
            seen[state] = good
        seen[state][kind] += 1
        shutil.rmtree(place)
    return good, bad


def ours(path, acknowledged):
    found = read(path)
    assert len(found.losses) >= acknowledged
    assert len(found.test) == len(found.losses) + bool(found.losses)
    Writer(path, TASKS, resume=True).close()
    assert read(path) == found


def test_every_state_reads_and_recovers(recorded, place, monkeypatch):
    root, operations = recorded
    assert operations[-1].kind != "acknowledge"
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr("trajlab.store.log._sync", lambda _: None)
    good, bad = replay(root, operations, place / "state", ours, POWER_LOSSES)
    print(f"{len(operations)} operations; good {dict(good)}, bad {dict(bad)}")
    assert not bad
    assert good["torn"] > STEPS // 2
    assert good["whole"] == len(operations)
    assert good["power loss"] == POWER_LOSSES * len(operations)


def test_a_frame_is_on_disk_before_its_slot_promises_it(recorded):
    """Of the power losses that would show it, a sample holds few."""
    _, operations = recorded
    waiting = Counter()
    promises = 0
    for operation in operations:
        if operation.path.suffix != ".log":
            continue
        slot = operation.kind == "write" and 0 < operation.offset < frames.HEAD
        if slot:
            promises += 1
            assert not waiting[operation.path], operation
        elif operation.kind == "sync":
            waiting[operation.path] = 0
        elif operation.kind == "write":
            waiting[operation.path] += 1
    assert promises >= STEPS // 2


def test_without_fsync_the_same_harness_finds_losses(recorded, place, monkeypatch):
    root, operations = recorded
    unsynced = [operation for operation in operations if operation.kind != "sync"]
    good, bad = replay(root, unsynced, place / "state", ours, power_losses=1)
    print(f"good {dict(good)}, bad {dict(bad)}")
    assert bad["power loss"] > 10
    assert not bad["whole"]


def test_plain_h5py_appends_with_gzip_fail_in_the_same_harness(place, monkeypatch):
    root = place / "root"
    root.mkdir()
    with monkeypatch.context() as patch:
        record = Record(patch, root)
        with open(root / PATH, "w+b") as target, h5py.File(target, "w") as file:
            losses = file.create_dataset(
                "losses", (0, 2), "float64", maxshape=(None, 2), chunks=(16, 2), compression="gzip"
            )
            for step in range(STEPS):
                losses.resize(step + 1, axis=0)
                losses[step] = step, 0
                if step % 2:
                    file.flush()
                    os.fsync(target.fileno())
                    record.acknowledge(step + 1)

    def plain(path, acknowledged):
        if not acknowledged and not path.exists():
            return
        with h5py.File(path) as file:
            values = file["losses"][:, 0]
        assert len(values) >= acknowledged
        np.testing.assert_array_equal(values, range(len(values)))

    good, bad = replay(root, record.operations, place / "state", plain, POWER_LOSSES)
    print(f"{len(record.operations)} operations; good {dict(good)}, bad {dict(bad)}")
    acknowledged = next(
        i for i, operation in enumerate(record.operations) if operation.kind == "acknowledge"
    )
    print(f"first acknowledged after {acknowledged} operations")
    assert bad["whole"] + bad["torn"] > 20
    assert good["whole"] > 0
