"""What a check finds, what a repair saves, and what a stale run becomes."""

import h5py
import numpy as np
import pytest

from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer, parts, standard
from trajlab.store.check import check, validate
from trajlab.store.merge import recover
from trajlab.store.repair import repair

TASKS = ["left", "right"]


def record(path, steps=range(3), *, close=True):
    writer = Writer(path, TASKS, shared=["w"], metadata={"seed": 1})
    for name in ("losses", "hessian"):
        writer.declare(standard(name, task=TASKS))
    for step in steps:
        writer.append("losses", {"step": step, "loss": [step, np.nan]})
        writer.append("hessian", {"step": step, "top": [1, 2], "reason": ["", "é"]})
        writer.flush()
    if close:
        writer.close()
    else:
        writer._lock.release()
    return path


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
    flip(parts.part(path, 2), 100)
    (problem,) = check(path).problems
    assert "000002.h5 is damaged" in problem
    parts.part(path, 2).unlink()
    (problem,) = check(path).problems
    assert "lacks its parts 2 to 2" in problem
    back = record(tmp_path / "back.h5", steps=[0, 2, 1])
    assert ["go back after row 1" in p for p in check(back).problems] == [True, True]
    flip(back, 100)
    assert "is damaged" in check(back).problems[0]
    with pytest.raises(TrajlabError, match="does not exist"):
        check(tmp_path / "none.h5")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: f["losses/loss"].attrs.pop("units"), "loss lacks its attribute units"),
        (lambda f: f["losses/loss"].attrs.pop("crc32"), "loss lacks its checksum"),
        (lambda f: f["losses"].attrs.pop("key"), "losses lacks its attribute key"),
        (lambda f: f.attrs.__setitem__("status", "done"), "has status 'done'"),
        (lambda f: f["losses"].create_group("x"), "holds a group x"),
        (
            lambda f: f["losses/loss"].dims[1].detach_scale(f["losses/task"]),
            "the axes of loss are not scales",
        ),
    ],
)
def test_each_rule_of_the_format_is_validated(tmp_path, spoil, sentence):
    path = record(tmp_path / "run.h5")
    with h5py.File(path) as file:
        assert validate(file, "run") == []
    with h5py.File(path, "r+") as file:
        spoil(file)
        (problem,) = validate(file, "run")
    assert sentence in problem


def test_a_repair_saves_every_column_that_is_whole(tmp_path):
    path = record(tmp_path / "run.h5")
    flip(path, column_offset(path, "losses/loss"))
    lost, unverified = repair(path, tmp_path / "saved.h5")
    assert lost == f"column loss of table losses in {path} is lost"
    assert "compare them with what you know" in unverified
    saved = Trajectory(tmp_path / "saved.h5")
    assert saved.status == "recovered"
    assert (saved.metadata, saved.shared) == ({"seed": 1}, ["w"])
    assert saved.table("losses")["step"].tolist() == [0, 1, 2]
    assert saved.table("hessian")["top"].tolist() == [[1, 2]] * 3
    assert "loss" not in saved.table("losses")
    assert check(tmp_path / "saved.h5").problems == ()
    with pytest.raises(TrajlabError, match="exists"):
        repair(path, tmp_path / "saved.h5")


def test_a_repair_saves_parts_around_a_lost_one(tmp_path):
    path = record(tmp_path / "run.h5", steps=range(4), close=False)
    parts.part(path, 2).write_bytes(b"x")
    parts.part(path, 3).unlink()
    lost = repair(path, tmp_path / "saved.h5")
    assert "000002.h5 is lost" in lost[0]
    assert lost[1] == f"parts 2 to 3 of {path} are lost"
    assert Trajectory(tmp_path / "saved.h5").table("losses")["step"].tolist() == [0, 3]
    with pytest.raises(TrajlabError, match="nothing can be saved"):
        repair(tmp_path / "none.h5", tmp_path / "other.h5")


def test_of_a_file_cut_off_by_a_copy_the_first_columns_are_saved(tmp_path):
    writer = Writer(tmp_path / "run.h5", TASKS, metadata={"seed": 1})
    writer.declare(standard("losses", task=TASKS))
    for step in range(1000):
        writer.append("losses", {"step": step, "loss": [step, 0]})
    writer.close()
    content = writer.path.read_bytes()
    writer.path.write_bytes(content[: column_offset(writer.path, "losses/weight")])
    lost, unverified = repair(writer.path, tmp_path / "saved.h5")
    assert lost == f"column weight of table losses in {writer.path} is lost"
    assert "compare them" in unverified
    saved = Trajectory(tmp_path / "saved.h5")
    assert saved.metadata == {"seed": 1}
    assert saved.table("losses")["loss"][:, 0].tolist() == list(range(1000))


def test_a_large_column_that_is_damaged_puts_nothing_else_in_doubt(tmp_path, monkeypatch):
    monkeypatch.setattr("trajlab.store.image._LARGE", 40)
    path = record(tmp_path / "run.h5")
    flip(path, column_offset(path, "losses/loss"))
    (lost,) = repair(path, tmp_path / "saved.h5")
    assert lost == f"column loss of table losses in {path} is lost"


def test_an_intact_file_has_the_last_word_on_the_run(tmp_path):
    path = record(tmp_path / "run.h5", close=False)
    last = parts.part(path, 3)
    last.write_bytes(last.read_bytes().replace(b'{"seed": 1}', b'{"seed": 7}'))
    (unverified,) = repair(path, tmp_path / "saved.h5")
    assert str(last) in unverified
    saved = Trajectory(tmp_path / "saved.h5")
    assert saved.metadata == {"seed": 1}
    assert saved.table("losses")["step"].tolist() == [0, 1, 2]


def test_parts_of_another_run_are_left_out(tmp_path):
    path = record(tmp_path / "run.h5", close=False)
    other = record(tmp_path / "other.h5", close=False)
    parts.part(other, 2).replace(parts.part(path, 2))
    (lost, gap) = repair(path, tmp_path / "saved.h5")
    assert "belongs to another run" in lost
    assert gap == f"parts 2 to 2 of {path} are lost"
    assert Trajectory(tmp_path / "saved.h5").table("losses")["step"].tolist() == [0, 2]


@pytest.mark.parametrize(
    ("reader", "sentence"),
    [("kill -SEGV $$", "HDF5 crashed on it: Segmentation fault"), ("exec sleep 60", "for ever")],
)
def test_a_file_that_crashes_or_blocks_its_reader_is_one_sentence(
    tmp_path, monkeypatch, reader, sentence
):
    path = record(tmp_path / "run.h5", close=False)
    flip(parts.part(path, 2), 100)
    script = tmp_path / "reader"
    script.write_text(f"#!/bin/sh\n{reader}\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    monkeypatch.setattr("trajlab.store.repair._SECONDS", 0.2)
    lost, gap = repair(path, tmp_path / "saved.h5")
    assert lost.startswith(f"{parts.part(path, 2)} is lost")
    assert sentence in lost
    assert gap == f"parts 2 to 2 of {path} are lost"


def test_a_part_that_a_merge_set_aside_is_found_and_saved(tmp_path, recwarn):
    path = record(tmp_path / "run.h5", close=False)
    second = parts.part(path, 2)
    flip(second, column_offset(second, "hessian/top"))
    recover(path)
    assert Trajectory(path).table("losses")["step"].tolist() == [0, 2]
    assert "repair" in check(path).problems[0]
    lost, unverified = repair(path, tmp_path / "saved.h5")
    assert str(second) in unverified
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
