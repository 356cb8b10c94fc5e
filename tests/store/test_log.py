"""What a refusing disk leaves behind a log, and a log that is damaged: neither is taken on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.runs import write
from trajlab.store import Trajectory, Writer, frames, log, merge, parts, standard
from trajlab.store.header import begun
from trajlab.store.log import Log, LogReader
from trajlab.store.pool import File

TABLE = standard("losses", task=["a"]).only("loss")
HEADER = begun(["a"], ["w"], {"seed": 0}, None, None)


def put(to, step, rows=1, header=HEADER, tables=(TABLE,)):
    """Append one frame of so many rows of a step, and return how long the log is then."""
    columns = {"step": np.full(rows, step).tobytes(), "loss": bytes(8 * rows)}
    to.append(header, tables, [(TABLE, rows, columns)])
    return to.size


def flipped(path, *offsets):
    content = bytearray(path.read_bytes())
    for offset in offsets:
        content[offset] ^= 1
    path.write_bytes(content)


def steps(path, known=None):
    """Return the steps of the rows that a log holds, and what is told of it."""
    source = LogReader(path, known).source()
    places = [block.extents["step"] for block in source.stored["losses"]]
    found = [source.file.read(e.offset, e.size).view(np.int64).tolist() for e in places]
    return [step for piece in found for step in piece], source.problems


def test_the_two_slots_promise_the_last_two_frames_in_turn(tmp_path):
    """A slot that is torn while it is renewed leaves the other, of the frame before."""
    made = Log(tmp_path / "one.log")
    for number in range(4):
        before, size = made.size, put(made, number)
        head = made.path.read_bytes()[: frames.HEAD]
        torn = []
        for turn in range(2):
            begin = frames.slot_offset(turn)
            torn.append(frames.acknowledged(head[:begin] + b"\xff" * 16 + head[begin + 16 :]))
        assert sorted(torn) == [before, size]
        assert torn[number % 2] == before
    made.close()


def test_what_was_said_before_is_not_said_again(tmp_path):
    """Header and declarations: in the first frame, and where they are others."""
    made = Log(tmp_path / "one.log")
    other = replace(HEADER, metadata={"seed": 1})
    ends = [frames.HEAD]
    for header, tables in ((HEADER, [TABLE]), (HEADER, []), (replace(HEADER), []), (other, [])):
        assert made.differs(header) == (len(ends) in (1, 4))
        ends.append(put(made, 0, header=header, tables=tables))
    made.close()
    file = File(made.path)
    facts = [frames.read_frame(file, end).facts for end in ends[:-1]]
    assert ["header" in told for told in facts] == [True, False, False, True]
    assert ["tables" in told for told in facts] == [True, False, False, False]
    assert LogReader(made.path).source().header.metadata == {"seed": 1}


@pytest.mark.parametrize("rows", [1, 20_000])
def test_damage_of_neighbours_is_one_stretch_and_what_lies_behind_is_read(tmp_path, rows):
    """Of bodies (where a frame ends is known) and of beginnings (the next one is searched for)."""
    made = Log(tmp_path / "one.log")
    ends = [frames.HEAD, *(put(made, step, rows if step == 2 else 1) for step in range(6))]
    made.close()
    whole = made.path.read_bytes()
    told = f"{made.path} is damaged: its bytes {{}} to {{}} do not match"
    for spots in ([ends[2] - 1, ends[3] - 1], [ends[1], ends[2]], [ends[1] + 20, ends[3] - 1]):
        made.path.write_bytes(whole)
        flipped(made.path, *spots)
        found, (problem,) = steps(made.path)
        assert found == [0, 3, 4, 5]
        assert problem.startswith(told.format(ends[1], ends[3]))
    made.path.write_bytes(whole)
    flipped(made.path, ends[2] - 1, ends[5] - 1)  # with whole ones between
    found, problems = steps(made.path)
    assert found == [0, *[2] * rows, 3, 5]
    assert [problem.partition(" do")[0] for problem in problems] == [
        told.format(*pair).partition(" do")[0] for pair in (ends[1:3], ends[4:6])
    ]


def test_a_frame_of_another_run_is_damage(tmp_path):
    made = Log(tmp_path / "one.log")
    put(made, 0)
    end = put(made, 1, header=begun(["a"], [], None, None, None))
    last = put(made, 2, header=HEADER)
    made.close()
    found, (problem,) = steps(made.path)
    assert found == [0, 2]
    assert end < last
    assert "is damaged: its bytes" in problem


def test_a_frame_not_acknowledged_yet_is_read_and_read_again_once_it_is(tmp_path):
    """Whole or damaged: what is told of the same bytes depends on whether they were promised."""
    made = Log(tmp_path / "one.log")
    first = put(made, 0)
    second = put(made, 1)
    made.close()
    content = bytearray(made.path.read_bytes())
    for damaged in (False, True):
        content[second - 1] ^= damaged
        slots = frames.MAGIC + frames.slot(first) + frames.slot(0)
        made.path.write_bytes(slots + content[frames.HEAD :])
        reader = LogReader(made.path)
        assert len(reader.source().stored["losses"]) == (1 if damaged else 2)
        assert reader.source().problems == ()
        with open(made.path, "r+b") as file:
            file.seek(frames.slot_offset(1))
            file.write(frames.slot(second))
        assert len(reader.source().stored["losses"]) == (1 if damaged else 2)
        assert bool(reader.source().problems) == damaged


def test_declarations_and_attributes_without_a_row_are_on_disk_after_a_flush(tmp_path):
    writer = Writer(tmp_path / "run.h5", ["a"])
    writer.declare(TABLE)
    writer.flush()
    assert Trajectory(writer.path).tables == ("losses",)
    size = parts.log(writer.path, 1).stat().st_size
    writer.flush()  # nothing is new
    assert parts.log(writer.path, 1).stat().st_size == size
    writer.set_attributes("losses", {"of": "x"})
    writer.flush()
    assert Trajectory(writer.path).table("losses").attributes["of"] == "x"
    writer.shared = ["v"]
    writer.flush()
    assert Trajectory(writer.path).shared == ["v"]
    writer.close()


def test_what_a_refusing_disk_left_goes_with_the_next_frame(tmp_path, monkeypatch):
    rows = [{"losses": {"step": 0, "loss": [1.0]}}]
    run = write(tmp_path / "run.h5", ["a"], [TABLE], rows, close=False)
    header = LogReader(parts.log(run, 1)).source().header
    frames = Log(tmp_path / "one.log")

    def append(rows):
        arrays = {"step": np.arange(rows).tobytes(), "loss": bytes(8 * rows)}
        frames.append(header, [TABLE], [(TABLE, rows, arrays)])

    append(1)

    def refuse(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(log, "_sync", refuse)
        with pytest.raises(OSError, match="No space"):
            append(1000)
    assert frames.path.stat().st_size > frames.size
    append(2)
    assert frames.path.stat().st_size == frames.size
    frames.close()
    assert sum(block.length for block in LogReader(frames.path).source().stored["losses"]) == 3


@pytest.mark.parametrize("damaged", [False, True])
def test_a_log_that_is_damaged_is_not_sealed_in_its_place(tmp_path: Path, damaged: bool) -> None:
    rows = ({"losses": {"step": step, "loss": [0.5]}} for step in range(3))
    run = write(tmp_path / "run.h5", ["a"], [TABLE], rows, close=False)
    file = parts.log(run, 1)
    content = bytearray(file.read_bytes())
    if damaged:
        content[-1] ^= 1  # in the last frame, which was acknowledged
        file.write_bytes(content)
    merge.seal_log(run, 1)
    assert file.exists() == damaged
    assert parts.sealed(run, 1).exists() != damaged
