"""Flipped bits, refusing disks, forks and second writers."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from trajlab.errors import TrajlabError
from trajlab.store import Column, Table, Trajectory, Writer, parts, standard
from trajlab.store.image import read
from trajlab.store.merge import stream
from trajlab.store.snapshot import Source, take

TASKS = ["left", "right"]


def start(path, **options):
    writer = Writer(path, TASKS, **options)
    for name in ("losses", "evaluations/test"):
        writer.declare(standard(name, task=TASKS).only("loss"))
    return writer


def append(writer, step):
    writer.append("losses", {"step": step, "loss": [step, -step]})
    writer.append("evaluations/test", {"step": step, "loss": [step, 0]})


def steps(path, table="losses"):
    return Trajectory(path).table(table)["step"].tolist()


def check_rows(path, at_least):
    """Assert that the rows are a gapless, correct prefix that holds what was acknowledged."""
    run = Trajectory(path)
    for table in ("losses", "evaluations/test"):
        view = run.table(table)
        found = view["step"]
        assert found.tolist() == list(range(len(found)))
        assert len(found) >= at_least
        np.testing.assert_array_equal(view["loss"][:, 0], found)


def test_a_damaged_or_missing_part_is_reported_and_the_rest_read(tmp_path):
    writer = start(tmp_path / "run.h5")
    for step in range(4):
        append(writer, step)
        writer.flush()
    second, third = parts.part(writer.path, 2), parts.part(writer.path, 3)
    second.write_bytes(second.read_bytes()[:-1])
    third.unlink()
    with pytest.warns(UserWarning, match="the rest was read") as reports:
        run = Trajectory(writer.path)
    assert run.table("losses")["step"].tolist() == [0, 3]
    assert [str(report.message) for report in reports] == list(run.problems)
    assert "000002.h5" in run.problems[0]
    assert "lacks its parts 3 to 3" in run.problems[1]
    assert "000002.h5" in repr(run)
    writer.close()
    assert steps(writer.path) == [0, 3]
    # what could not be read is kept for a repair
    assert [file.name for file in parts.folder(writer.path).iterdir()] == ["000002.h5.unread"]


def test_a_resumed_run_never_overwrites_a_damaged_part(tmp_path):
    writer = start(tmp_path / "run.h5")
    for step in range(2):
        append(writer, step)
        writer.flush()
    writer._lock.release()
    last = parts.part(writer.path, 2)
    damaged = last.read_bytes()[:-1]
    last.write_bytes(damaged)
    with pytest.warns(UserWarning, match="the rest was read"):
        writer = start(tmp_path / "run.h5", resume=True)
    append(writer, 2)
    writer.flush()
    assert parts.numbers(writer.path) == [1, 2, 3]
    writer.close()
    assert steps(writer.path) == [0, 2]
    assert last.with_name("000002.h5.unread").read_bytes() == damaged


def test_a_part_of_another_run_is_left_out(tmp_path):
    writer, other = start(tmp_path / "run.h5"), start(tmp_path / "other.h5")
    for each in (writer, other):
        append(each, 0)
        each.flush()
    os.replace(parts.part(other.path, 1), parts.part(writer.path, 2))
    with pytest.warns(UserWarning, match="belongs to another run"):
        assert steps(writer.path) == [0]
    for each in (writer, other):
        each._lock.release()


def refuse(monkeypatch, allow=0):
    """Make every publish but the first `allow` fail."""
    publish = parts.publish
    calls = []

    def refused(image, target):
        calls.append(target)
        if len(calls) > allow:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        publish(image, target)

    monkeypatch.setattr(parts, "publish", refused)


def test_a_failed_flush_keeps_its_rows_and_its_number(tmp_path, monkeypatch):
    writer = start(tmp_path / "run.h5")
    append(writer, 0)
    with monkeypatch.context() as patch:
        refuse(patch)
        with pytest.raises(TrajlabError, match=r"No space left .* rows are kept in memory"):
            writer.flush()
        append(writer, 1)
        with pytest.raises(TrajlabError, match="kept in memory"):
            writer.close()
    writer.flush()
    assert steps(writer.path) == [0, 1]
    assert parts.numbers(writer.path) == [1]
    with monkeypatch.context() as patch:
        refuse(patch)
        with pytest.raises(TrajlabError, match=r"all rows are safe in .*parts"):
            writer.close()
    assert steps(writer.path) == [0, 1]
    writer.close()
    assert steps(writer.path) == [0, 1]


def test_training_goes_on_with_one_warning_until_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("trajlab.store.writer.INTERVAL", 0.0)
    writer = start(tmp_path / "run.h5")
    with monkeypatch.context() as patch:
        refuse(patch)
        with pytest.warns(UserWarning, match="No space left"):
            writer.append("losses", {"step": 0, "loss": [0, 0]})
        writer.append("evaluations/test", {"step": 0, "loss": [0, 0]})  # a warning is an error
        for step in range(1, 5):
            append(writer, step)
        patch.setattr("trajlab.store.writer.LIMIT_BYTES", 1)
        with pytest.raises(TrajlabError, match="No space left"):
            writer.append("losses", {"step": 5, "loss": [5, -5]})
    writer.append("evaluations/test", {"step": 5, "loss": [5, 0]})
    check_rows(writer.path, 6)
    writer.close()


def test_rows_are_flushed_by_time_and_by_size(tmp_path, monkeypatch):
    writer = start(tmp_path / "run.h5")
    append(writer, 0)
    assert not parts.exists(writer.path)
    monkeypatch.setattr("trajlab.store.writer.FLUSH_BYTES", 1)
    writer.flush()
    append(writer, 1)
    assert steps(writer.path) == [0, 1]
    monkeypatch.undo()
    monkeypatch.setattr("trajlab.store.writer.INTERVAL", 0.0)
    writer.flush()
    append(writer, 2)
    assert steps(writer.path) == [0, 1, 2]
    writer.close()


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TrajlabError, match=r"run\.h5 cannot be written \(File exists\)"):
        Writer(tmp_path / "file" / "run.h5", TASKS)


def test_a_forked_process_changes_nothing(tmp_path):
    """A DataLoader worker inherits the writer, and may even close it or exit through it."""
    code = f"""
import os
from trajlab.errors import TrajlabError
from trajlab.store import Writer, standard
writer = Writer({str(tmp_path / "run.h5")!r}, ["left", "right"])
writer.declare(standard("losses", task=["left", "right"]))
writer.append("losses", {{"step": 0, "loss": [1, 2]}})
child = os.fork()
if child == 0:
    for call in (writer.flush, lambda: writer.append("losses", {{"step": 7}})):
        try:
            call()
        except TrajlabError as error:
            assert "forked process" in str(error)
        else:
            os._exit(1)
    writer.close()
    os._exit(2 if os.path.exists(writer.path) else 0)
assert os.waitpid(child, 0)[1] == 0
assert os.listdir({str(tmp_path / "run.h5.parts")!r}) == []
writer.close()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    assert steps(tmp_path / "run.h5") == [0]


def test_a_second_writer_is_refused_with_the_owner(tmp_path):
    path = tmp_path / "run.h5"
    writer = start(path)
    append(writer, 0)
    writer.flush()
    with pytest.raises(TrajlabError, match="already being recorded by this process"):
        start(path, resume=True)
    code = f"from trajlab.store import Writer; Writer({str(path)!r}, ['a'], resume=True)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f'"pid": {os.getpid()}' in other.stderr
    assert "is being recorded by another process" in other.stderr
    append(writer, 1)
    writer.close()
    assert steps(path) == [0, 1]
    assert path.with_name("run.h5.lock").exists()
    start(path, resume=True).close()


def test_an_existing_run_is_an_error_without_resume(tmp_path):
    writer = start(tmp_path / "run.h5")
    writer.flush()
    writer._lock.release()
    for _ in range(2):  # in parts, then sealed
        with pytest.raises(TrajlabError, match="exists; give another name, or resume=True"):
            start(tmp_path / "run.h5")
        start(tmp_path / "run.h5", resume=True).close()
    with pytest.raises(TrajlabError, match="does not end in"):
        start(tmp_path / "run")
    with pytest.raises(TrajlabError, match="without resume"):
        start(tmp_path / "new.h5", from_step=3)


@pytest.mark.parametrize("sealed", [False, True])
def test_resume_supersedes_training_from_the_step_and_evaluations_after_it(tmp_path, sealed):
    path = tmp_path / "run.h5"
    writer = start(path, metadata={"seed": 1}, provenance={"session": 1}, shared=["w"])
    for step in range(6):
        append(writer, step)
    writer.flush()
    if sealed:
        writer.close("recording")
    else:
        writer._lock.release()  # killed
    writer = Writer(path, TASKS, resume=True, from_step=3, provenance={"session": 2})
    assert steps(path) == list(range(6))  # nothing is lost before something new is there
    writer.append("losses", {"step": 3, "loss": [30, 0]})
    writer.flush()
    for _ in range(2):
        run = Trajectory(path)
        assert run.table("losses")["step"].tolist() == [0, 1, 2, 3]
        assert run.table("losses")["loss"][:, 0].tolist() == [0, 1, 2, 30]
        assert run.table("evaluations/test")["step"].tolist() == [0, 1, 2, 3]
        assert (run.metadata, run.shared) == ({"seed": 1}, ["w"])
        assert run.provenance == {"session": 2}
        writer.close()
    sessions = take(path).header.sessions
    assert [session.provenance["session"] for session in sessions] == [1, 2]
    assert [session.rewind_to for session in sessions] == [None, 3]


def test_a_checkpoint_loaded_after_the_writer_was_made_rewinds_too(tmp_path):
    writer = start(tmp_path / "run.h5")
    for step in range(4):
        append(writer, step)
    with pytest.raises(TrajlabError, match="load the checkpoint before recording"):
        writer.rewind(2)
    writer.close("recording")
    writer = start(tmp_path / "run.h5", resume=True)
    writer.rewind(2)
    writer.close()
    assert steps(writer.path) == [0, 1]
    assert steps(writer.path, "evaluations/test") == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"metadata": {"seed": 2}}, r"with seed=1, not 2; resume with the same"),
        ({"shared": ["v"]}, "shared parameters"),
    ],
)
def test_resume_with_another_configuration_is_refused(tmp_path, options, sentence):
    start(tmp_path / "run.h5", metadata={"seed": 1}, shared=["w"]).close()
    with pytest.raises(TrajlabError, match=sentence):
        start(tmp_path / "run.h5", resume=True, **options)
    with pytest.raises(TrajlabError, match="recorded with tasks"):
        Writer(tmp_path / "run.h5", ["left"], resume=True)
    assert not parts.folder(tmp_path / "run.h5").exists()
    start(tmp_path / "run.h5", resume=True, allow_changes=True, **options).close()
    run = Trajectory(tmp_path / "run.h5")
    assert (run.metadata, run.shared) == (
        options.get("metadata", {"seed": 1}),
        options.get("shared", ["w"]),
    )


@pytest.mark.parametrize("listed", ["before the merge", "after it"])
def test_a_reader_survives_a_merge_between_its_looks(tmp_path, monkeypatch, listed):
    writer = start(tmp_path / "run.h5")
    append(writer, 0)
    writer.flush()
    numbers = parts.numbers

    def merged_meanwhile(path):
        monkeypatch.setattr(parts, "numbers", numbers)
        found = numbers(path)
        append(writer, 1)
        writer.close()
        return found if listed == "before the merge" else numbers(path)

    monkeypatch.setattr(parts, "numbers", merged_meanwhile)
    assert steps(writer.path) == [0, 1]


@pytest.mark.parametrize("in_process", [2**30, 0])
def test_a_merge_while_recording_changes_no_row(tmp_path, monkeypatch, in_process):
    monkeypatch.setattr("trajlab.store.writer.MERGE_PARTS", 3)
    monkeypatch.setattr("trajlab.store.merge.IN_PROCESS", in_process)
    writer = start(tmp_path / "run.h5")
    writer.declare(Table("late", (Column("flag", dtype="bool"), Column("why", dtype="str"))))
    for step in range(7):
        append(writer, step)
        if step == 4:
            writer.append("late", {"step": 4, "why": "é"})
            writer.declare(Table("late", (Column("x", ("step", "task")),), {"task": TASKS}))
        writer.flush()
        check_rows(writer.path, step + 1)
    assert parts.numbers(writer.path) == [7]
    assert Trajectory(writer.path).status == "recording"
    writer.close()
    check_rows(writer.path, 7)
    run = Trajectory(writer.path)
    assert run.status == "complete"
    assert run.table("late")["why"].tolist() == ["é"]
    assert np.isnan(run.table("late")["x"]).tolist() == [[True, True]]


def test_a_merge_elsewhere_gives_the_same_file(tmp_path, monkeypatch):
    """Portions of a few bytes, superseded rows and columns that early parts lack."""
    monkeypatch.setattr("trajlab.store.image._SLICE", 1)
    for name in ("here.h5", "there.h5"):
        writer = start(tmp_path / name)
        for step in range(5):
            append(writer, step)
            if step % 2:
                writer.flush()
        writer.close("recording")
        writer = start(tmp_path / name, resume=True, from_step=2)
        append(writer, 2)
        writer.flush()
        writer.declare(Table("losses", (Column("why", dtype="str"),)))
        writer.append("losses", {"step": 3, "loss": [3, -3], "why": "ü"})
        if name == "there.h5":
            writer.flush()
            (tmp_path / "merged").touch()
            with open(tmp_path / "merged", "r+b") as target:
                stream(take(writer.path), "complete", 5, os.dup(target.fileno()))
        writer.close()
    one, other = Trajectory(tmp_path / "here.h5"), Source.sealed(tmp_path / "merged")
    with other.open() as file:
        for name in one.tables:
            for column, values in one.table(name).items():
                np.testing.assert_array_equal(read(file[name], column, "merged"), values)


def test_a_merge_elsewhere_that_fails_is_told_and_loses_nothing(tmp_path, monkeypatch):
    writer = start(tmp_path / "run.h5")
    append(writer, 0)
    monkeypatch.setattr("trajlab.store.merge.IN_PROCESS", 0)
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", "/bin/false")
        with pytest.raises(TrajlabError, match=r"merging failed: .* all rows are safe"):
            writer.close()
    check_rows(writer.path, 1)
    writer.close()
    check_rows(writer.path, 1)


def test_without_posix_locks_one_sentence_says_where_it_runs():
    code = "import sys; sys.modules['fcntl'] = None; import trajlab; trajlab.load"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "TrajlabError: trajlab needs Linux or macOS" in done.stderr
