"""What a session puts on disk: under which number, when a log is sealed, and what is told."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runs import finish
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer, journal, merge, parts, resume, standard
from trajlab.store.header import begun
from trajlab.store.snapshot import take

TABLE = standard("losses", task=["a"]).only("loss")


def start(path, **options):
    writer = Writer(path, ["a"], **options)
    writer.declare(TABLE)
    return writer


def put(writer, *steps):
    for step in steps:
        writer.append("losses", {"step": step, "loss": [step / 4]})
    writer.flush()


def killed(path, *steps):
    """Record each step in a session of its own, which is killed."""
    for step in steps:
        writer = start(path, resume=True)
        put(writer, step)
        finish(writer, close=False)


def read(path):
    """Return the steps of a run, and what is told of it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run = Trajectory(path)
        steps = run.table("losses")["step"].tolist()
    assert [str(warning.message) for warning in told] == list(run.problems)
    return steps, run.problems


def names(path):
    return sorted(file.name for file in parts.folder(path).glob("*"))


@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_name_that_somebody_else_has_taken_is_left_to_them(tmp_path, monkeypatch, meanwhile):
    """Where locks do not hold: before the first flush, or even between its look and its file."""
    writer = start(tmp_path / "run.h5")
    parts.log(writer.path, 1).touch()
    if meanwhile:
        with monkeypatch.context() as patch:
            patch.setattr(parts, "numbers", lambda _: [])
            with pytest.raises(TrajlabError, match=r"cannot be written \(File exists\)"):
                put(writer, 0)
    put(writer, 1)
    assert parts.log(writer.path, 1).stat().st_size == 0
    assert names(writer.path) == ["000001.log", "000002.log"]
    written = [0, 1] if meanwhile else [1]
    assert read(writer.path) == (written, ())
    writer.close()
    assert read(writer.path) == (written, ())


def test_a_log_is_sealed_once_it_is_as_long_as_that(tmp_path, monkeypatch):
    writer = start(tmp_path / "run.h5")
    put(writer, 0)
    size = parts.log(writer.path, 1).stat().st_size
    for longest, name in ((size + 1, "000001.log"), (size, "000001.h5")):
        monkeypatch.setattr(journal, "ROTATE_BYTES", longest)
        writer._journal.rotate()
        assert names(writer.path) == [name]
    assert take(writer.path).header.last_part == 1
    monkeypatch.undo()
    put(writer, 1)
    assert names(writer.path) == ["000001.h5", "000002.log"]
    assert read(finish(writer, close=True)) == ([0, 1], ())


def test_a_log_that_is_damaged_where_it_begins_is_told_and_training_goes_on(tmp_path, monkeypatch):
    writer = start(tmp_path / "run.h5")
    put(writer, 0)
    log = parts.log(writer.path, 1)
    log.write_bytes(b"x" + log.read_bytes()[1:])
    monkeypatch.setattr(journal, "ROTATE_BYTES", 1)
    with pytest.warns(UserWarning, match=r"000001\.log could not be sealed yet: .* is damaged"):
        writer._journal.rotate()
    monkeypatch.undo()
    put(writer, 1)
    steps, (problem,) = read(writer.path)
    assert steps == [1]
    assert "000001.log is damaged (it does not begin as a log does)" in problem
    with pytest.warns(UserWarning, match="does not begin as a log"):
        writer.close()
    assert read(writer.path) == ([1], (problem,))
    assert names(writer.path) == ["000001.log.unread"]


@pytest.mark.filterwarnings("ignore:.*vanished while it was written")
def test_each_log_that_vanishes_is_told_for_ever(tmp_path, monkeypatch):
    writer = start(tmp_path / "run.h5")
    for number in (1, 2):
        put(writer, 2 * number)
        parts.log(writer.path, number).unlink()
        put(writer, 2 * number + 1)
        with monkeypatch.context() as patch:
            patch.setattr(journal, "ROTATE_BYTES", 1)
            writer._journal.rotate()
    for close in (False, True):
        if close:
            writer.close()
        steps, problems = read(writer.path)
        assert steps == [2, 3, 4, 5]
        assert [problem.partition(" vanished")[0][-10:] for problem in problems] == [
            "000001.log",
            "000002.log",
        ]


def test_parts_are_numbered_on_over_sessions_and_merges(tmp_path):
    """Killed, merged, killed twice: a number is never taken again, and says what is merged."""
    path = tmp_path / "run.h5"
    killed = [finish(start(path), close=False)]
    for step in range(4):
        writer = start(path, resume=True)
        put(writer, step)
        if step == 1:
            writer.close("recording")
            assert (names(path), take(path).header.last_part) == ([], 2)
        else:
            finish(writer, close=False)
    assert killed == [path]
    assert names(path) == ["000003.log", "000004.log"]
    before = take(path)
    assert [source.header.last_part for source in before.sources] == [2, 3, 4]
    assert len({source.header.run_id for source in before.sources}) == 1
    assert len({source.header.created for source in before.sources}) == 1
    assert [len(source.header.sessions) for source in before.sources] == [2, 3, 4]
    merge.recover(path)
    assert (take(path).header.last_part, take(path).header.status) == (4, "recovered")
    assert read(path) == ([0, 1, 2, 3], ())


@pytest.mark.filterwarnings("ignore:.*belongs to another run")
def test_the_number_of_a_part_that_was_set_aside_is_not_taken_again(tmp_path):
    """Neither while it lies there nor once it is merged: what is kept for a repair is its own."""
    path, other = tmp_path / "run.h5", tmp_path / "other.h5"
    for each in (path, other):
        writer = start(each)
        put(writer, 0)
        finish(writer, close=False)
    parts.log(other, 1).rename(parts.log(path, 2))
    writer = start(path, resume=True)
    put(writer, 1)
    assert names(path) == ["000001.log", "000002.log", "000003.log"]
    parts.log(path, 3).rename(tmp_path / "three.log")
    finish(writer, close=False)
    merge.recover(path)
    assert take(path).header.last_part == 2
    writer = start(path, resume=True)
    put(writer, 2)
    assert names(path) == ["000002.log.unread", "000003.log"]
    assert read(finish(writer, close=True))[0] == [0, 2]


def test_merged_parts_that_a_kill_left_are_not_read_twice(tmp_path, monkeypatch):
    """Of number up to the last one merged; those after it hold rows of their own."""
    path = tmp_path / "run.h5"
    killed(path, *range(2))
    with monkeypatch.context() as patch:
        patch.setattr(parts, "remove", lambda *_: None)
        merge.recover(path)
    assert names(path) == ["000001.log", "000002.log"]
    assert [source.path for source in take(path).sources] == [path]
    killed(path, 2)
    assert names(path) == ["000001.log", "000002.log", "000003.log"]
    assert read(path) == ([0, 1, 2], ())
    parts.log(path, 2).unlink()  # merged already: nothing is lacking
    assert read(path) == ([0, 1, 2], ())
    merge.recover(path)
    assert (read(path), names(path)) == (([0, 1, 2], ()), [])


def test_what_an_earlier_merge_lacked_is_told_by_the_next_and_by_a_recovery(tmp_path, monkeypatch):
    path = tmp_path / "run.h5"
    killed(path, *range(3))
    parts.log(path, 2).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(parts, "remove", lambda *_: None)
        (first,) = merge.recover(path)
    assert f"{path} lacks its parts 2 to 2" in first
    assert merge.recover(path) == (first,)  # nothing but merged parts is left
    assert names(path) == []
    with pytest.raises(TrajlabError, match="has no parts to merge; a sealed run needs nothing"):
        merge.recover(path)
    with pytest.warns(UserWarning, match="lacks its parts 2 to 2"):
        writer = start(path, resume=True)
    put(writer, 3)
    finish(writer, close=False)
    with pytest.warns(UserWarning, match="lacks its parts 2 to 2"):
        writer = start(path, resume=True)
    put(writer, 4)
    parts.log(path, 4).unlink()
    second = f"{path} lacks its parts 4 to 4; the rest was read"
    assert read(path) == ([0, 2, 4], (first, second))
    with pytest.warns(UserWarning, match="lacks its parts"):
        writer.close()
    assert read(path) == ([0, 2, 4], (first, second))


@pytest.mark.filterwarnings("ignore:.* is damaged")
@pytest.mark.parametrize("number", [1, 2])
def test_a_recovery_keeps_a_merged_part_that_cannot_be_read(tmp_path, monkeypatch, number):
    """A kill left it beside one that can, and it may hold what the sealed file does not."""
    path = tmp_path / "run.h5"
    killed(path, *range(2))
    with monkeypatch.context() as patch:
        patch.setattr(parts, "remove", lambda *_: None)
        assert merge.recover(path) == ()
    parts.log(path, number).write_bytes(b"x")
    (problem,) = merge.recover(path)
    assert f"00000{number}.log is damaged (it does not begin as a log does)" in problem
    assert names(path) == [f"00000{number}.log.unread"]
    assert read(path) == ([0, 1], (problem,))


def test_a_part_of_another_run_is_told_up_to_the_number_merged_last_and_after_it(tmp_path):
    """Once each, and its rows are not read; one of the run's own is no problem at all."""
    path, other = tmp_path / "run.h5", tmp_path / "other.h5"
    killed(path, 0, 1)
    killed(other, 2)
    merge.recover(path)
    parts.folder(path).mkdir()
    foreign = parts.log(other, 1).read_bytes()
    for number in (1, 2, 3):
        file = parts.log(path, number)
        file.write_bytes(foreign)
        told = f"{file} belongs to another run; the rest was read"
        assert read(path) == ([0, 1], (told,))
        assert take(path).unread == (file,)
        file.unlink()


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("listed", ["before", "after"])
def test_a_merge_between_two_looks_is_read_anew(tmp_path, monkeypatch, sealed, listed):
    """What was read of the old files would lack rows, or have them twice."""
    path = tmp_path / "run.h5"
    for step in range(2):
        writer = start(path, resume=True)
        put(writer, step)
        writer.close("recording") if sealed and step == 0 else finish(writer, close=False)
    before = take(path)
    whole, looks = parts.numbers, []

    def meanwhile(where):
        looks.append(whole(where))
        if len(looks) == 1:
            with monkeypatch.context() as patch:
                patch.setattr(parts, "numbers", whole)
                merge.merge(path, "complete", before)
        return looks[-1] if listed == "before" else whole(where)

    monkeypatch.setattr(parts, "numbers", meanwhile)
    for known in (before, None):
        after = take(path, known)
        assert (after.header.status, after.header.last_part) == ("complete", 2)
        assert [source.length("losses") for source in after.sources] == [2]
    assert looks[:2] == [[2] if sealed else [1, 2], []]


def test_a_log_that_another_replaces_is_read_anew(tmp_path):
    path, other = tmp_path / "run.h5", tmp_path / "other.h5"
    for each, steps in ((path, (0,)), (other, (3, 4))):
        writer = start(each)
        put(writer, *steps)
        finish(writer, close=False)
    before = take(path)
    assert before.header.run_id != take(other).header.run_id
    parts.log(other, 1).replace(parts.log(path, 1))
    after = take(path, before)
    assert after.sources[0].length("losses") == 2
    with pytest.raises(TrajlabError, match=r"000001\.log belongs to another run"):
        take(path, before, before.header.run_id)


@pytest.mark.filterwarnings("ignore:.* is damaged")
def test_a_log_that_is_damaged_within_is_merged_around_it_and_kept(tmp_path):
    writer = start(tmp_path / "run.h5")
    put(writer, 0)
    size = parts.log(writer.path, 1).stat().st_size
    put(writer, 1)
    put(writer, 2)
    log = parts.log(finish(writer, close=False), 1)
    content = bytearray(log.read_bytes())
    content[size + 40] ^= 1
    log.write_bytes(content)
    (problem,) = merge.recover(writer.path)
    assert f"its bytes {size} to" in problem
    assert read(writer.path) == ([0, 2], (problem,))
    assert names(writer.path) == ["000001.log.unread"]
    assert parts.set_aside(writer.path)[0].read_bytes() == content


def test_a_merge_of_no_parts_takes_no_number_back(tmp_path):
    """As where the only log of a session vanished."""
    writer = start(tmp_path / "run.h5")
    put(writer, 0)
    merge.merge(finish(writer, close=True), "recording")
    merged = take(writer.path).header
    assert (merged.last_part, merged.status) == (1, "recording")
    assert read(writer.path) == ([0], ())


@pytest.mark.parametrize(("number", "parts_left"), [(3, ["000001.log", "000002.log"]), (2, [])])
def test_so_many_sessions_that_were_cut_off_are_merged(tmp_path, monkeypatch, number, parts_left):
    path: Path = tmp_path / "run.h5"
    killed(path, *range(2))
    monkeypatch.setattr("trajlab.store.resume.MERGE_PARTS", number)
    writer = start(path, resume=True)
    assert names(path) == parts_left
    assert take(path).header.status == "recording"
    put(writer, 2)
    assert read(finish(writer, close=True)) == ([0, 1, 2], ())


FACTS = {"grid": {"x": 1, "y": [1, 2]}, "seed": 0}


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({}, None),  # nothing is said: what was recorded holds
        ({"seed": 0, "grid": {"y": [1, 2], "x": 1}}, None),  # the order is no difference
        (FACTS | {"seed": 1}, "with seed=0, not 1;"),
        (FACTS | {"grid": {"x": 1, "y": [2, 1]}}, "with grid={.*2, 1.*;"),
        (FACTS | {"more": None}, "with no more, not more=None;"),
        ({"grid": FACTS["grid"]}, "with seed=0, not without seed;"),
    ],
)
def test_a_session_goes_on_as_the_run_it_is_of(tmp_path, metadata, told):
    path = finish(start(tmp_path / "run.h5", metadata=FACTS), close=True)
    earlier = take(path).header
    later = replace(begun(["a"], [], metadata, None, 3), created="2100-01-01T00:00:00+00:00")
    if told:
        with pytest.raises(TrajlabError, match=told):
            resume.resumed(path, later, False)
    header, (table,) = resume.resumed(path, later, bool(told))
    assert table == TABLE
    assert (header.run_id, header.created) == (earlier.run_id, earlier.created)
    assert header.metadata == (metadata or FACTS)
    assert [session.rewind_to for session in header.sessions] == [None, 3]


@pytest.mark.parametrize(
    ("now", "shared", "told"),
    [
        ([], ["v", "w"], False),
        (["w"], ["v", "w"], False),  # one was frozen
        (["u", "v", "w"], ["v", "w", "u"], False),  # one more is not
        (["u", "w"], ["u", "w"], True),
        (["u"], ["u"], True),
    ],
)
def test_shared_parameters_may_be_frozen_or_not_and_no_others(tmp_path, now, shared, told):
    path = finish(start(tmp_path / "run.h5", shared=["v", "w"]), close=True)
    later = begun(["a"], now, None, None, None)
    if told:
        with pytest.raises(TrajlabError, match=r"shared parameters=\('v', 'w'\), not"):
            resume.resumed(path, later, False)
    header, _ = resume.resumed(path, later, told)
    assert list(header.shared) == shared
