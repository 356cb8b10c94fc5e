"""Files that ask for more memory or time than what is in them is worth."""

import json
import struct
import zlib

import numpy as np
import pytest

from tests.runs import write
from trajlab.errors import TrajlabError
from trajlab.store import (
    Column,
    Table,
    Trajectory,
    Writer,
    frames,
    parts,
    pool,
    rows,
    seal,
    standard,
)
from trajlab.store.pool import File

TABLE = standard("losses", task=["a"]).only("loss")


def record(path, steps=1, *, close=True):
    flushes = ({"losses": {"step": step, "loss": [0.5]}} for step in range(steps))
    return write(path, ["a"], [TABLE], flushes, close=close)


def log(path, *made):
    """Put frames in place of the log of a run."""
    body = b"".join(made)
    size = frames.HEAD + len(body)
    parts.log(path, 1).write_bytes(frames.MAGIC + frames.slot(0) + frames.slot(size) + body)


def facts(path):
    """Return what the first frame of a run's log says."""
    return dict(frames.read_frame(File(parts.log(path, 1)), frames.HEAD).facts)


def test_a_column_that_memory_cannot_hold_is_a_sentence(tmp_path):
    """A few hundred bytes on disk: what lies between the ends of the file was never written."""
    path = record(tmp_path / "run.h5")
    content = path.read_bytes()
    offset, length = struct.unpack("<QQ", content[-28:-12])
    told = json.loads(content[offset : offset + length])
    many = pool.MEMORY // 8 + 1
    table = {**told["tables"][0], "columns": [], "coordinates": {}}
    told |= {
        "image": 8 * many,
        "tables": [table],
        "rows": [["losses", many, {"step": [0, 8 * many, 0]}]],
    }
    index = json.dumps(told).encode()
    place = struct.pack("<QQ", 8 * many, len(index))
    crc = struct.pack("<I", zlib.crc32(place, zlib.crc32(index)))
    with open(path, "wb") as file:
        file.seek(8 * many)
        file.write(index + place + crc + b"trajlab2")
    with pytest.raises(TrajlabError, match="over half of this machine's memory"):
        Trajectory(path).table("losses")["step"]


def test_a_column_over_several_files_that_memory_cannot_hold_is_one_too(tmp_path, monkeypatch):
    table = Trajectory(record(tmp_path / "run.h5", 8, close=False)).table("losses")
    loss = table["loss"]
    monkeypatch.setattr(pool, "MEMORY", 2 * loss.nbytes)
    np.testing.assert_array_equal(table["loss"], loss)
    monkeypatch.setattr(pool, "MEMORY", 2 * loss.nbytes - 1)
    with pytest.raises(TrajlabError, match=r"column loss of table losses in .* half"):
        table["loss"]
    assert sum(map(len, table.portions("loss", 8))) == 8


def test_so_many_tables_or_columns_that_they_take_minutes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MOST_TABLES", 3)
    tables = [Table(f"t{i}", (Column("x"), Column("y"), Column("z"))) for i in range(4)]
    writer = Writer(tmp_path / "run.h5", ["a"])
    for table in tables[:3]:
        writer.declare(table)
    with pytest.raises(TrajlabError, match="4 tables"):
        writer.declare(tables[3])
    with pytest.raises(TrajlabError, match="4 columns"):
        writer.declare(Table("t0", (Column("w"),)))
    writer.flush()
    flushes = [{name: {"step": 0, "x": 1.0} for name in ("one", "two")}]
    both = [Table(name, (Column("x"),)) for name in flushes[0]]
    sealed = write(tmp_path / "sealed.h5", ["a"], both, flushes)
    assert len(Trajectory(writer.path).tables) == 3
    told = facts(writer.path)
    for changed in (
        {"tables": [*told["tables"], {**told["tables"][0], "name": "t3"}]},
        {"tables": [rows.described([Table("t", (*tables[0].columns, Column("w")))])[0]]},
    ):
        log(writer.path, frames.frame({**told, **changed}, b""))
        with pytest.raises(TrajlabError, match="damaged"):
            Trajectory(writer.path)
    writer._lock.release()
    monkeypatch.setattr(rows, "MOST_TABLES", 2)
    assert len(Trajectory(sealed).tables) == 2
    monkeypatch.setattr(rows, "MOST_TABLES", 1)
    with pytest.raises(TrajlabError, match="2 tables"):
        Trajectory(sealed)


def test_facts_are_as_long_as_a_reader_takes_at_most(tmp_path, monkeypatch):
    told = {"header": "x" * 100}
    length = len(json.dumps(told))
    for limit in (length, length - 1):
        monkeypatch.setattr(frames, "FACTS", limit)
        if limit == length:
            (tmp_path / "log").write_bytes(frames.frame(told, b"body"))
        else:
            with pytest.raises(TrajlabError, match="labels, attributes and metadata take"):
                frames.frame(told, b"body")
        read = frames.read_frame(File(tmp_path / "log"), 0)
        assert (read is not None) == (limit == length)


def test_an_index_is_as_long_as_a_reader_takes_at_most(tmp_path, monkeypatch):
    path = record(tmp_path / "run.h5")
    length = struct.unpack("<QQ", path.read_bytes()[-28:-12])[1]
    monkeypatch.setattr(seal, "FACTS", length)
    assert Trajectory(path).table("losses")["step"].tolist() == [0]
    monkeypatch.setattr(seal, "FACTS", length - 1)
    with pytest.raises(TrajlabError, match="its index lies elsewhere"):
        Trajectory(path)


@pytest.mark.parametrize(
    ("content", "length", "texts"),
    [
        (b"a\0b", 2, ["a", "b"]),
        (b"\0", 2, ["", ""]),
        (b"", 1, [""]),
        (b"", 0, []),
        (b"a\0b", 1, None),
        (b"a\0b", 3, None),
        (b"a", 0, None),
        (b"", 2, None),
        (b"\xff", 1, None),
    ],
)
def test_texts_are_as_many_as_the_rows(content, length, texts):
    if texts is None:
        with pytest.raises(TrajlabError, match="the log is damaged"):
            list(rows.text_portions(content, length, (), "the log"))
    else:
        read = [
            text for part in rows.text_portions(content, length, (), "the log") for text in part
        ]
        assert read == texts


BEGIN = b"\x02tlf"


@pytest.mark.parametrize(
    "between", [b"", BEGIN, 40 * BEGIN, 40 * (BEGIN + struct.pack("<IQI", 2**18, 0, 0))]
)
def test_a_log_is_not_searched_much_longer_than_it_is(tmp_path, monkeypatch, between):
    """Thousands of frames, none of which can be read without what the first one said."""
    path = record(tmp_path / "run.h5", close=False)
    told = facts(path)
    small = between + frames.frame({"rows": []}, b"")
    log(path, frames.frame({**told, "tables": 5}, b""), *[small] * 3000)
    read = []
    whole = File.read
    monkeypatch.setattr(File, "read", lambda f, at, size: read.append(size) or whole(f, at, size))
    with pytest.raises(TrajlabError, match=r"its bytes 40 to \d+ do not match"):
        Trajectory(path)
    assert sum(read) < 2 * (4 * parts.log(path, 1).stat().st_size + frames.FACTS)
