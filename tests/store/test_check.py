"""What a check finds, what a repair saves, and what a stale run becomes."""

import re
import struct
import zlib
from dataclasses import replace

import h5py
import numpy as np
import pytest

from tests.runs import write
from tests.store.resealing import index_of
from trajlab.errors import TrajlabError
from trajlab.store import Column, Table, Trajectory, Writer, merge, parts, standard
from trajlab.store.check import check
from trajlab.store.hdf5 import process
from trajlab.store.hdf5.process import found
from trajlab.store.merge import recover
from trajlab.store.repair import repair
from trajlab.store.rows import Block
from trajlab.store.snapshot import take
from trajlab.store.view import View

TASKS = ["left", "right"]


BUDGET = [
    {"step": step, "probe": probe, "seconds": 1.5, "skipped": False}
    for step in range(3)
    for probe in ("one", "other")
]


def record_budget(path):
    """Record a run whose table ``budget`` has two rows a step."""
    names = {"seconds": "float64", "skipped": "bool", "probe": "str"}
    columns = tuple(Column(name, dtype=dtype) for name, dtype in names.items())
    budget = Table("budget", columns, key=("step", "probe"))
    flushes = [{"budget": row} for row in BUDGET]
    return write(path, TASKS, [standard("losses", task=TASKS), budget], flushes)


def record(path, steps=range(3), *, close=True, parts=False):
    """Record a run; with `parts`, each flush becomes a sealed part of its own."""
    with pytest.MonkeyPatch.context() as patch:
        if parts:
            patch.setattr("trajlab.store.journal.ROTATE_BYTES", 1)
        tables = [standard(name, task=TASKS) for name in ("losses", "hessian")]
        flushes = (
            {
                "losses": {"step": step, "loss": [step, np.nan]},
                "hessian": {"step": step, "top": [1, 2], "reason": ["", "é"]},
            }
            for step in steps
        )
        facts = {"shared": ["w"], "metadata": {"seed": 1}}
        return write(path, TASKS, tables, flushes, close=close, **facts)


def flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def column_offset(path, name):
    with h5py.File(path) as file:
        return file[name].id.get_offset()


@pytest.mark.parametrize("close", [True, False])
def test_a_whole_run_has_no_problems(tmp_path, close):
    checked = check(record(tmp_path / "run.h5", close=close))
    assert checked.problems == ()
    finite = checked.columns.set_index(["table", "column"])["finite"]
    assert finite["losses", "loss"] == 0.5
    assert finite["hessian", "top"] == 1
    assert np.isnan(finite["hessian", "reason"])


def test_every_kind_of_damage_is_found(tmp_path, recwarn):
    path = record(tmp_path / "run.h5", close=False)
    flip(parts.log(path, 1), parts.log(path, 1).stat().st_size - 1)
    (problem,) = check(path).problems
    assert "000001.log is damaged" in problem
    back = record(tmp_path / "back.h5", steps=[0, 2, 1])
    assert ["go back after row 1" in p for p in check(back).problems] == [True, True]
    flip(back, 100)
    assert "is damaged" in check(back).problems[0]
    with pytest.raises(TrajlabError, match="does not exist"):
        check(tmp_path / "none.h5")


def sealed(path, *blocks, **header):
    """Write a sealed file of tables that no writer would write."""
    record(path)
    run = take(path)
    merge.write(replace(run.header, **header), blocks, path)
    return path


def rows(table, **arrays):
    return Block(table, len(arrays["step"]), {k: [np.asarray(v)] for k, v in arrays.items()})


LOSSES = Table("losses", (Column("loss", ("step", "task")),), {"task": TASKS})


@pytest.mark.parametrize(
    ("table", "steps", "sentence"),
    [
        (LOSSES, [0, 1, 1], r"two rows of step at step 1"),
        (LOSSES, [-1, 0, 1], "negative steps"),
        (replace(LOSSES, coordinates={"task": ["right", "left"]}), [0], "task = .*, the run"),
        (replace(LOSSES, coordinates={"task": ["left", "left"]}), [0], "a label of task twice"),
        (LOSSES, [0, 1, 2], None),
    ],
)
def test_rows_and_labels_that_contradict_each_other_are_found(tmp_path, table, steps, sentence):
    path = sealed(tmp_path / "run.h5", rows(table, step=steps, loss=np.zeros((len(steps), 2))))
    problems = check(path).problems
    assert bool(problems) == bool(sentence)
    if sentence:
        assert any(re.search(sentence, problem) for problem in problems)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: f["losses/loss"].attrs.pop("units"), "loss lacks its attribute units"),
        (lambda f: f["losses/loss"].attrs.pop("crc32"), "has no checksum"),
        (lambda f: f["losses"].attrs.pop("key"), "losses lacks its attribute key"),
        (lambda f: f.attrs.__setitem__("status", "done"), "has status 'done'"),
        (lambda f: f.create_dataset("x", (3,), "f8"), "x lies outside of any table"),
        (lambda f: f["losses"].__delitem__("step"), "lies outside of any table"),
        (lambda f: f["losses"].create_group("x"), "holds x, which is no data set"),
        (
            lambda f: f["losses/loss"].dims[1].detach_scale(f["losses/task"]),
            "its axes are not those of the table",
        ),
        (lambda f: f["losses"].__setitem__("y", h5py.SoftLink("/losses/loss")), "a link to"),
        (lambda f: f["losses"].__setitem__("y", h5py.ExternalLink("a", "/b")), "a link to"),
        (
            lambda f: f["losses"].create_dataset("y", (3,), "f8", chunks=(1,)),
            "not stored in one piece",
        ),
        (
            lambda f: f["losses"].create_dataset("y", (1,), "f8", external=[("/etc/passwd", 0, 8)]),
            "not stored in one piece",
        ),
        (lambda f: f["losses"].__setitem__("y", np.zeros(3, ">f8")), "is of type >f8"),
    ],
)
def test_each_rule_of_the_format_is_validated(tmp_path, spoil, sentence):
    path = record(tmp_path / "run.h5")
    assert found(path)["problems"] == []
    with h5py.File(path, "r+") as file:
        spoil(file)
    try:
        (problem,) = found(path)["problems"]
    except TrajlabError as error:
        problem = str(error)
    assert sentence in problem


def test_what_hdf5_finds_and_what_the_index_says_must_agree(tmp_path):
    """A file with right checksums whose two halves differ: others read other things than we."""
    path = record(tmp_path / "run.h5")
    content = path.read_bytes()
    offset, length = struct.unpack("<QQ", content[-28:-12])
    for before, after, sentence in [
        (b'"seed\\": 1', b'"seed\\": 2', "root attributes differ"),
        (b'"units": ""', b'"units": "m"', "is declared in another way"),
        (b'"name": "hessian"', b'"name": "fisher"', "other tables"),
    ]:
        index = content[offset : offset + length].replace(before, after)
        if b"fisher" in after:
            index = index.replace(b'["hessian", 3', b'["fisher", 3')
        assert index != content[offset : offset + length]
        place = struct.pack("<QQ", offset, len(index))
        crc = struct.pack("<I", zlib.crc32(place, zlib.crc32(index)))
        path.write_bytes(content[:offset] + index + place + crc + b"trajlab2")
        assert any(sentence in problem for problem in check(path).problems)


def test_a_repair_saves_every_column_that_is_whole(tmp_path):
    path = record(tmp_path / "run.h5")
    flip(path, column_offset(path, "losses/loss"))
    (lost,) = repair(path, tmp_path / "saved.h5")
    assert lost == f"column loss of table losses in {path} is lost"
    with pytest.warns(UserWarning, match="column loss"):
        saved = Trajectory(tmp_path / "saved.h5")
    assert saved.status == "recovered"
    assert (saved.metadata, saved.shared) == ({"seed": 1}, ["w"])
    assert saved.table("losses")["step"].tolist() == [0, 1, 2]
    assert saved.table("hessian")["top"].tolist() == [[1, 2]] * 3
    assert "loss" not in saved.table("losses")
    assert check(tmp_path / "saved.h5").problems == (lost,)  # for ever
    with pytest.raises(TrajlabError, match="exists"):
        repair(path, tmp_path / "saved.h5")


@pytest.mark.filterwarnings("ignore:.* lost")
@pytest.mark.parametrize(
    ("column", "kept"), [("seconds", ["probe", "skipped"]), ("probe", None), ("step", None)]
)
def test_a_table_that_lacks_what_tells_its_rows_apart_is_lost(tmp_path, column, kept):
    """Of two probes at a step, without their names only one row would be left."""
    path = record_budget(tmp_path / "run.h5")
    extent = take(path).sources[0].stored["budget"][0].extents[column]
    flip(path, extent.offset)
    lost = repair(path, tmp_path / "saved.h5")
    saved = Trajectory(tmp_path / "saved.h5")
    if kept is None:
        assert lost[0] == f"table budget of {path} is lost: its column {column} is"
        assert "budget" not in saved.tables
    else:
        assert lost[0] == f"column {column} of table budget in {path} is lost"
        found = saved.table("budget")
        assert column not in found
        assert {name: found[name].tolist() for name in kept} == {
            name: [row[name] for row in BUDGET] for name in kept
        }


@pytest.mark.filterwarnings("ignore:.* (lost|damaged)")
@pytest.mark.parametrize(("column", "kept"), [("seconds", True), ("probe", False)])
def test_hdf5_alone_gives_no_table_that_lacks_what_tells_its_rows_apart(tmp_path, column, kept):
    """The index behind the file is gone, and one of its data sets."""
    path = record_budget(tmp_path / "run.h5")
    content = path.read_bytes()
    path.write_bytes(content[: index_of(content)[0]["image"]])
    with h5py.File(path, "r+") as file:
        del file[f"budget/{column}"]
    lost = repair(path, tmp_path / "saved.h5")
    tables = Trajectory(tmp_path / "saved.h5").tables
    assert ("budget" in tables) == kept
    gone = f"{path}: table budget is lost (what tells its rows apart is gone)"
    assert (gone in lost) == (not kept)


@pytest.mark.filterwarnings("ignore:.* damaged")
def test_a_repair_tells_damage_that_took_no_column(tmp_path):
    path = record(tmp_path / "run.h5")
    flip(path, 100)
    (told,) = repair(path, tmp_path / "saved.h5")
    assert told == f"{path} is damaged where no column lies; that is made anew"
    saved = Trajectory(tmp_path / "saved.h5")
    np.testing.assert_equal(saved.table("losses")["loss"], [[0, np.nan], [1, np.nan], [2, np.nan]])


def test_a_repair_puts_rows_of_any_order_in_order_a_few_at_a_time(tmp_path, monkeypatch):
    """A sealed session and a log: the second has one more layer, and lacks the flags."""
    steps = np.random.default_rng(1).permutation(40).tolist()
    wide = Column("wide", ("step", "task", "layer"))
    columns = (wide, Column("said", dtype="str"), Column("flag", dtype="bool"))
    path = tmp_path / "run.h5"
    for kept, layers, half in ((3, ["one"], steps[:20]), (2, ["one", "two"], steps[20:])):
        writer = Writer(path, TASKS, resume=True)
        coordinates = {"task": TASKS, "layer": layers}
        writer.declare(Table("made", columns[:kept], coordinates))
        for step in half:
            row = {"wide": np.multiply.outer([step, -step], range(1, 1 + len(layers)))}
            row |= {"said": f"é{step}", "flag": step % 2} if kept == 3 else {"said": f"é{step}"}
            writer.append("made", {"step": step, **row})
        writer.close() if kept == 3 else writer.flush()
    asked = []
    at = View.at
    monkeypatch.setattr(View, "at", lambda v, n, c: asked.append(len(c)) or at(v, n, c))
    monkeypatch.setattr("trajlab.store.repair.PORTION", 100)
    assert repair(path, tmp_path / "saved.h5") == ()
    assert asked == [12, 12, 12, 4, *[3] * 13, 1, 40]  # 8 bytes a step, 32 a row, 1 a flag
    saved = Trajectory(tmp_path / "saved.h5").table("made")
    assert saved["step"].tolist() == list(range(40))
    first = np.isin(range(40), steps[:20])
    np.testing.assert_array_equal(saved["wide"][:, :, 0], np.outer(range(40), [1, -1]))
    np.testing.assert_array_equal(np.isnan(saved["wide"][:, 1, 1]), first)
    np.testing.assert_array_equal(saved["wide"][~first, 1, 1], -2.0 * np.flatnonzero(~first))
    np.testing.assert_array_equal(saved["flag"], first & (np.arange(40) % 2 == 1))
    assert saved["said"].tolist() == [f"é{step}" for step in range(40)]
    assert check(tmp_path / "saved.h5").problems == ()


@pytest.mark.filterwarnings("ignore:.* (lost|damaged)")
def test_a_repair_saves_parts_around_a_lost_one(tmp_path):
    path = record(tmp_path / "run.h5", steps=range(4), close=False, parts=True)
    parts.part(path, 2).write_bytes(b"x")
    parts.part(path, 3).unlink()
    lost = repair(path, tmp_path / "saved.h5")
    assert "000002.h5 is lost" in lost[0]
    assert lost[1] == f"parts 2 to 3 of {path} are lost"
    assert Trajectory(tmp_path / "saved.h5").table("losses")["step"].tolist() == [0, 3]
    with pytest.raises(TrajlabError, match="nothing can be saved"):
        repair(tmp_path / "none.h5", tmp_path / "other.h5")


@pytest.mark.filterwarnings("ignore:.* damaged")
def test_a_repair_saves_the_frames_around_a_damaged_one(tmp_path):
    path = record(tmp_path / "run.h5", close=False)
    log = parts.log(path, 1)
    flip(log, log.stat().st_size - 1)
    (lost,) = repair(path, tmp_path / "saved.h5")
    assert "000001.log is damaged: its bytes" in lost
    assert Trajectory(tmp_path / "saved.h5").table("losses")["step"].tolist() == [0, 1]


@pytest.mark.filterwarnings("ignore:.* damaged")
def test_a_log_that_is_damaged_where_it_begins_is_read_by_what_another_says(tmp_path):
    path = record(tmp_path / "run.h5", steps=range(3))
    writer = Writer(path, TASKS, resume=True)
    for step in (3, 4):
        writer.append("losses", {"step": step, "loss": [step, 0]})
        writer.flush()
    writer._lock.release()
    flip(parts.log(path, 2), 60)
    assert Trajectory(path).table("losses")["step"].tolist() == [0, 1, 2]
    (lost,) = repair(path, tmp_path / "saved.h5")
    assert "is damaged: its bytes" in lost
    assert Trajectory(tmp_path / "saved.h5").table("losses")["step"].tolist() == [0, 1, 2, 4]


@pytest.mark.filterwarnings("ignore:.* (lost|damaged)")
def test_of_a_file_cut_off_by_a_copy_the_first_columns_are_saved(tmp_path):
    writer = Writer(tmp_path / "run.h5", TASKS, metadata={"seed": 1})
    writer.declare(standard("losses", task=TASKS))
    for step in range(1000):
        writer.append("losses", {"step": step, "loss": [step, 0]})
    writer.close()
    content = writer.path.read_bytes()
    writer.path.write_bytes(content[: column_offset(writer.path, "losses/weight")])
    lost, unverified = repair(writer.path, tmp_path / "saved.h5")
    assert "column weight of table losses is lost" in lost
    assert "compare them" in unverified
    saved = Trajectory(tmp_path / "saved.h5")
    assert saved.metadata == {"seed": 1}
    assert saved.table("losses")["loss"][:, 0].tolist() == list(range(1000))


@pytest.mark.filterwarnings("ignore:.* (lost|damaged)")
def test_metadata_are_those_of_an_intact_file_where_there_is_one(tmp_path):
    path = record(tmp_path / "run.h5", close=False, parts=True)
    last = parts.part(path, 3)
    content = last.read_bytes()[:-40]  # without its index, HDF5 is asked
    said, wrong = b'{"seed": 1}', b'{"seed": 7}'
    assert said in content
    last.write_bytes(content.replace(said, wrong))
    assert "compare them" in "".join(repair(path, tmp_path / "saved.h5"))
    saved = Trajectory(tmp_path / "saved.h5")
    assert saved.metadata == {"seed": 1}
    assert saved.table("losses")["step"].tolist() == [0, 1, 2]
    for number in (1, 2):
        parts.part(path, number).unlink()
    repair(path, tmp_path / "alone.h5")  # nothing else says what it is
    assert Trajectory(tmp_path / "alone.h5").metadata == {"seed": 7}


@pytest.mark.filterwarnings("ignore:.* lost")
def test_parts_of_another_run_are_left_out(tmp_path):
    path = record(tmp_path / "run.h5", close=False, parts=True)
    other = record(tmp_path / "other.h5", close=False, parts=True)
    parts.part(other, 2).replace(parts.part(path, 2))
    (lost, gap) = repair(path, tmp_path / "saved.h5")
    assert "belongs to another run" in lost
    assert gap == f"parts 2 to 2 of {path} are lost"
    assert Trajectory(tmp_path / "saved.h5").table("losses")["step"].tolist() == [0, 2]


@pytest.mark.parametrize(
    ("reader", "sentence"),
    [
        ("kill -SEGV $$", "HDF5 crashed on it: Segmentation fault"),
        ("kill -XCPU $$", "for ever"),
        ("exec sleep 60", "for ever"),
    ],
)
def test_a_file_that_crashes_or_blocks_its_reader_is_one_sentence(
    tmp_path, monkeypatch, reader, sentence
):
    path = record(tmp_path / "run.h5", close=False, parts=True)
    part = parts.part(path, 2)
    part.write_bytes(part.read_bytes()[:-40])  # without its index, HDF5 is asked
    script = tmp_path / "reader"
    script.write_text(f"#!/bin/sh\necho ready\nread request\n{reader}\n")
    script.chmod(0o755)
    monkeypatch.setattr("trajlab.store.hdf5.process._process", process._Process())
    monkeypatch.setattr("sys.executable", str(script))
    monkeypatch.setattr("trajlab.store.hdf5.process.WAIT", 0.2)
    lost, gap = repair(path, tmp_path / "saved.h5")
    assert lost.startswith(f"{part} is lost")
    assert sentence in lost
    assert gap == f"parts 2 to 2 of {path} are lost"


@pytest.mark.filterwarnings("ignore:.* (lost|damaged)")
def test_a_part_that_a_merge_set_aside_is_found_and_saved(tmp_path):
    path = record(tmp_path / "run.h5", close=False, parts=True)
    second = parts.part(path, 2)
    flip(second, column_offset(second, "hessian/top"))
    recover(path)
    assert Trajectory(path).table("losses")["step"].tolist() == [0, 2]
    assert "repair" in check(path).problems[0]
    (lost,) = repair(path, tmp_path / "saved.h5")
    assert "column top of table hessian in" in lost
    saved = Trajectory(tmp_path / "saved.h5")
    assert saved.table("losses")["step"].tolist() == [0, 1, 2]
    assert np.isnan(saved.table("hessian")["top"][:, 0]).tolist() == [False, True, False]


def test_a_stale_run_is_sealed_and_a_live_one_refused(tmp_path):
    path = record(tmp_path / "run.h5", close=False)
    recover(path)
    run = Trajectory(path)
    assert (run.status, run.table("losses")["step"].tolist()) == ("recovered", [0, 1, 2])
    assert not parts.folder(path).exists()
    with pytest.raises(TrajlabError, match="no parts"):
        recover(path)
    writer = Writer(path, TASKS, resume=True)
    writer.append("losses", {"step": 3})
    writer.flush()
    with pytest.raises(TrajlabError, match="being recorded"):
        recover(path)
    writer.close()


def test_refresh_shows_what_came_since(tmp_path):
    writer = Writer(tmp_path / "run.h5", TASKS)
    writer.declare(standard("losses", task=TASKS))
    writer.append("losses", {"step": 0, "loss": [1, 2]})
    writer.flush()
    run = Trajectory(writer.path)
    writer.append("losses", {"step": 1, "loss": [1, 2]})
    writer.close()
    assert (run.status, run.table("losses")["step"].tolist()) == ("recording", [0])
    run.refresh()
    assert (run.status, run.table("losses")["step"].tolist()) == ("complete", [0, 1])


def test_labels_that_no_column_uses_are_no_difference(tmp_path):
    path = tmp_path / "run.h5"
    writer = Writer(path, ["a", "b"])
    writer.declare(Table("t", (Column("x"),), {"task": ["a", "b"], "k": [1, 2]}))
    writer.append("t", {"step": 0, "x": 1.0})
    writer.close()
    assert check(path).problems == ()


@pytest.mark.parametrize("close", [False, True])
def test_the_finite_share_of_each_column_is_told(tmp_path, close):
    table = Table(
        "t",
        (
            Column("x", ("step", "task")),
            Column("n", dtype="int64"),
            Column("why", dtype="str"),
            Column("never"),
        ),
        {"task": ["a", "b"]},
    )
    nan, inf = float("nan"), float("inf")
    flushes = [
        {"t": {"step": 0, "x": [1.0, nan], "n": 3, "why": "a"}},
        {"t": {"step": 1, "x": [inf, 2.0]}},
        {"t": {"step": 2, "x": [3.0, 4.0], "n": 1}},
        {"t": {"step": 3}},
    ]
    found = check(write(tmp_path / "run.h5", ["a", "b"], [table], flushes, close=close))
    assert found.problems == ()
    columns = found.columns.set_index("column")
    assert columns["table"].tolist() == ["t"] * 4
    assert columns["rows"].tolist() == [4] * 4
    assert columns["finite"].drop("why").to_dict() == {"x": 4 / 8, "n": 1.0, "never": 0.0}
    assert np.isnan(columns.loc["why", "finite"])
