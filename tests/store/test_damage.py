"""A bit flipped, or the end missing, at each byte of a small run: told, never a wrong number."""

import json
import os
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest

from tests.runs import write
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer, load, parts, seal, standard
from trajlab.store.check import check
from trajlab.store.frames import HEAD
from trajlab.store.rows import Extent, Stored
from trajlab.store.snapshot import take

LOSSES = [0.5, 0.25]
SAMPLED = 499  # of so many bytes, one is damaged where reading takes long


def record(path, flushes, *, close):
    """Record a run of one row a flush, as small as they come."""
    table = standard("losses", task=["a", "b"]).only("loss")
    rows = ({"losses": {"step": step, "loss": LOSSES}} for step in range(flushes))
    return write(path, ["a", "b"], [table], rows, close=close)


def damages(file, step=1):
    """Damage a file in every way, one after the other, and mend it in the end.

    Yields where.
    """
    content = file.read_bytes()
    with open(file, "r+b", buffering=0) as target:
        for i in range(0, len(content), step):
            os.pwrite(target.fileno(), bytes([content[i] ^ (1 << i % 8)]), i)
            yield i
            os.pwrite(target.fileno(), content[i : i + 1], i)
        for size in range(len(content) - 1, -1, -step):
            target.truncate(size)
            yield min(size, len(content) - 1)
        os.pwrite(target.fileno(), content + b"\0", 0)
        yield len(content)
        target.truncate(len(content))


def test_a_sealed_run_is_refused(tmp_path):
    path = record(tmp_path / "run.h5", 1, close=True)
    count = 0
    for _ in damages(path):
        with pytest.raises(TrajlabError, match=r"damaged|is not a trajectory file, or it is trunc"):
            load(path)
        if count % SAMPLED == 0:
            assert "damaged" in check(path).problems[0] or "trunc" in check(path).problems[0]
        count += 1
    print(f"{count} damages")
    assert Trajectory(path).table("losses")["loss"].tolist() == [LOSSES]
    assert check(path).problems == ()


def test_a_run_that_is_damaged_is_there_and_nothing_is_recorded_over_it(tmp_path):
    path = record(tmp_path / "run.h5", 3, close=False)
    file = parts.log(path, 1)
    content = b"x" + file.read_bytes()[1:]
    file.write_bytes(content)
    assert parts.exists(path)
    with pytest.raises(TrajlabError, match="exists; give another name"):
        Writer(path, ["a", "b"])
    assert file.read_bytes() == content
    file.write_bytes(b"")  # a first flush that was cut off
    assert not parts.exists(path)


@pytest.mark.filterwarnings("ignore:.* is damaged")
def test_of_a_log_the_frames_beside_the_damage_are_read(tmp_path):
    """Each bit of what was acknowledged counts; the slots count only where both are gone."""
    path = record(tmp_path / "run.h5", 3, close=False)
    file = parts.log(path, 1)
    size = file.stat().st_size
    count = 0
    for damage in damages(file):
        count += 1
        try:
            (run,) = load(path)
        except TrajlabError as error:
            # so far cut off, it is as a kill before the first flush leaves it
            assert "is damaged" in str(error) or file.stat().st_size < HEAD  # noqa: PT017
            continue
        table = run.table("losses") if "losses" in run.tables else {"step": [], "loss": []}
        found = list(table["step"])
        assert set(found) <= {0, 1, 2}
        assert np.array_equal(np.asarray(table["loss"]).reshape(-1, 2), [LOSSES] * len(found))
        told = bool(run.problems) and bool(check(path).problems)
        harmless = found == [0, 1, 2] and (damage < HEAD or damage >= size)
        assert told or harmless, damage
    print(f"{count} damages")
    assert Trajectory(path).problems == ()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_parts_beside_a_damaged_one_are_read(tmp_path, number, monkeypatch):
    monkeypatch.setattr("trajlab.store.journal.ROTATE_BYTES", 1)
    path = record(tmp_path / "run.h5", 3, close=False)
    rest = [step for step in range(3) if step != number - 1]
    for _ in damages(parts.part(path, number), SAMPLED):
        with pytest.warns(UserWarning, match=f"{number:06}.h5 is .*; the rest was read"):
            (run,) = load(path)
        table = run.table("losses")
        assert table["step"].tolist() == rest
        np.testing.assert_array_equal(table["loss"], [LOSSES] * 2)
        assert run.problems[0] in check(path).problems


def worded(path, change):
    """Let `change` have the index of a sealed file, and seal it again."""
    content = path.read_bytes()
    offset, length = struct.unpack("<QQ", content[-28:-12])
    facts = json.loads(content[offset : offset + length])
    change(facts)
    index = json.dumps(facts).encode()
    place = struct.pack("<QQ", offset, len(index))
    crc = struct.pack("<I", zlib.crc32(place, zlib.crc32(index)))
    path.write_bytes(content[:offset] + index + place + crc + b"trajlab2")


def declare_one_more(facts):
    facts["tables"].append({**facts["tables"][0], "name": "more"})


def overlap(step, loss):
    loss[0] = step[0] + step[1] - 1


CHANGES = [
    (lambda facts: facts.pop("rest"), "'rest'"),
    (lambda facts: facts.update(rest="0"), "its index does not say where it ends"),
    (lambda facts: facts.update(image=str(facts["image"])), "its index does not say where it ends"),
    (lambda facts: facts["rows"][0][2].pop("loss"), "losses lack a place or have two"),
    (lambda facts: facts["rows"].append(facts["rows"][0]), "losses lack a place or have two"),
    (lambda facts: facts["rows"].clear(), "a table in it has no rows"),
    (declare_one_more, "a table in it has no rows"),
    (lambda facts: facts["rows"][0].__setitem__(0, "more"), "'more'"),
    (lambda facts: facts["tables"][0].pop("kind"), "too little or too much"),
    (lambda facts: facts["tables"][0]["columns"][0].pop("dtype"), "too little or too much"),
    (lambda facts: facts["tables"][0]["columns"][0].update(more=1), "too little or too much"),
    (lambda facts: facts["tables"][0].update(key=["micro_step"]), "a kind or key that there is"),
    (lambda facts: overlap(**facts["rows"][0][2]), "columns in it overlap"),
]


@pytest.mark.parametrize(("change", "reason"), CHANGES)
def test_an_index_that_says_too_little_or_too_much_is_refused(
    tmp_path, monkeypatch, change, reason
):
    """Also of a file so long that no checksum but that of its index is compared."""
    monkeypatch.setattr(seal, "WHOLE", 0)
    path = record(tmp_path / "run.h5", 2, close=True)
    worded(path, lambda facts: None)
    assert Trajectory(path).table("losses")["loss"].tolist() == [LOSSES] * 2
    worded(path, change)
    with pytest.raises(TrajlabError, match=reason):
        Trajectory(path)


def test_files_up_to_a_length_are_verified_when_they_are_opened(tmp_path, monkeypatch):
    """Longer ones when a column is read; the rest of them by `check`."""
    path = record(tmp_path / "run.h5", 2, close=True)
    (block,) = take(path).sources[0].stored["losses"]
    content = bytearray(path.read_bytes())
    content[block.extents["loss"].offset] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(seal, "WHOLE", len(content))
    with pytest.raises(TrajlabError, match="the checksum of column loss of table losses does not"):
        Trajectory(path)
    monkeypatch.setattr(seal, "WHOLE", len(content) - 1)
    table = Trajectory(path).table("losses")
    assert table["step"].tolist() == [0, 1]
    with pytest.raises(TrajlabError, match="the checksum of column loss of table losses does not"):
        table["loss"]


@pytest.mark.parametrize(
    ("extents", "image", "between"),
    [
        ([], 7, [(0, 7)]),
        ([(2, 3), (9, 4)], 20, [(0, 2), (5, 4), (13, 7)]),
        ([(9, 4), (0, 3), (3, 6)], 13, []),  # in any order, one at the other's end
        ([(2, 3), (20, 4)], 20, [(0, 2), (5, 15)]),  # texts lie behind the image
        ([(2, 3), (22, 4)], 20, [(0, 2), (5, 15)]),
        ([(2, 3), (3, 0)], 6, [(0, 2), (5, 1)]),  # one without bytes lies nowhere
        ([(2, 3), (4, 1)], 6, None),
    ],
)
def test_what_is_no_column_is_what_lies_between_them(extents, image, between):
    blocks = [Stored(None, 1, {str(at): Extent(at, size, 0)}) for at, size in extents]
    source = SimpleNamespace(path="run.h5", stored={"a": blocks[:1], "b": blocks[1:]})
    if between is None:
        with pytest.raises(TrajlabError, match=r"run\.h5 is damaged \(columns in it overlap\)"):
            seal.gaps(source, image)
    else:
        assert seal.gaps(source, image) == between


def test_a_run_written_behind_another_is_no_run(tmp_path):
    """As ``cat`` makes it: the index at the end speaks of another file."""
    one, two = (record(tmp_path / name, 2, close=True) for name in ("one.h5", "two.h5"))
    both = tmp_path / "both.h5"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.raises(TrajlabError, match="its index lies elsewhere"):
        Trajectory(both)
