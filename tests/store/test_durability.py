"""Flipped bits, refusing disks, forks and second writers."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.runs import finish, run_python
from trajlab.errors import TrajlabError
from trajlab.store import Column, Table, Trajectory, Writer, frames, load, merge, parts, standard
from trajlab.store.check import check
from trajlab.store.merge import recover
from trajlab.store.pool import File
from trajlab.store.snapshot import take
from trajlab.store.view import View

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


def flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def killed(path, steps, **options):
    """Record with a flush a step, and leave the run as a kill does."""
    writer = start(path, **options)
    for step in steps:
        append(writer, step)
        writer.flush()
    return finish(writer, close=False)


def frame_ends(path):
    """Where each acknowledged frame of a log ends."""
    file = File(path, grows=True)
    ends = [frames.HEAD]
    while (frame := frames.read_frame(file, ends[-1])) is not None:
        ends.append(frame.end)
    return ends


def test_damage_of_an_acknowledged_frame_is_told_for_ever_and_the_rest_read(tmp_path):
    writer = start(tmp_path / "run.h5")
    for step in range(4):
        append(writer, step)
        writer.flush()
    log = parts.log(writer.path, 1)
    ends = frame_ends(log)
    assert len(ends) == 5
    flip(log, ends[2] - 1)
    with pytest.warns(UserWarning, match="the rest was read") as reports:
        run = Trajectory(writer.path)
    assert run.table("losses")["step"].tolist() == [0, 2, 3]
    assert [str(report.message) for report in reports] == list(run.problems)
    assert f"000001.log is damaged: its bytes {ends[1]} to {ends[2]}" in run.problems[0]
    assert "000001.log" in repr(run)
    with pytest.warns(UserWarning, match="is damaged: its bytes"):
        writer.close()
    for _ in range(2):
        with pytest.warns(UserWarning, match="is damaged: its bytes"):
            run = Trajectory(writer.path)
        assert run.status == "complete"
        assert run.table("losses")["step"].tolist()[:3] == [0, 2, 3]
        assert any("is damaged: its bytes" in problem for problem in check(writer.path).problems)
        with pytest.warns(UserWarning, match="is damaged: its bytes"):
            writer = start(writer.path, resume=True)
        append(writer, 4)
        with pytest.warns(UserWarning, match="is damaged: its bytes"):
            writer.close()
    # what could not be read is kept for a repair
    assert [f.name for f in parts.folder(writer.path).iterdir()] == ["000001.log.unread"]


def test_a_warning_points_at_the_line_that_called_however_deep_it_comes_from(tmp_path):
    writer = start(tmp_path / "run.h5")
    append(writer, 0)
    writer.flush()
    run = Trajectory(writer.path)
    for step in (1, 2):
        append(writer, step)
        writer.flush()
    log = parts.log(writer.path, 1)
    flip(log, frame_ends(log)[2] - 1)
    for call in (
        run.refresh,
        lambda: load(tmp_path),
        lambda: Trajectory(writer.path),
        writer.close,
        lambda: start(writer.path, resume=True).close(),
    ):
        with pytest.warns(UserWarning, match="is damaged: its bytes") as caught:
            call()
        assert {each.filename for each in caught} == {__file__}


def test_the_last_acknowledged_frame_is_damaged_and_a_later_one_was_cut_off(tmp_path):
    """On both sides of what was promised: behind it, the same bytes are a kill's."""
    path = killed(tmp_path / "run.h5", range(3))
    log = parts.log(path, 1)
    whole = log.read_bytes()
    ends = frame_ends(log)
    log.write_bytes(whole[: ends[3] - 1])
    with pytest.warns(UserWarning, match="is damaged: its bytes"):
        assert steps(path) == [0, 1]
    for cut in range(ends[2], ends[3]):
        slots = frames.MAGIC + frames.slot(ends[1]) + frames.slot(ends[2])
        log.write_bytes(slots + whole[frames.HEAD : cut])
        assert Trajectory(path).problems == ()
        assert steps(path) == [0, 1]
    # of a slot that a power loss has kept from the disk, the frame is there still
    log.write_bytes(slots + whole[frames.HEAD :])
    assert steps(path) == [0, 1, 2]


@pytest.mark.parametrize("folder_too", [False, True])
def test_a_log_that_vanishes_while_it_is_written_is_written_again(tmp_path, folder_too):
    writer = start(tmp_path / "run.h5")
    for step in range(3):
        append(writer, step)
        writer.flush()
    parts.log(writer.path, 1).unlink()
    if folder_too:
        parts.folder(writer.path).rmdir()
    append(writer, 3)
    with pytest.warns(UserWarning, match="vanished while it was written; its rows were written"):
        writer.flush()
    with pytest.warns(UserWarning, match="vanished"):
        assert steps(writer.path) == [0, 1, 2, 3]
    with pytest.warns(UserWarning, match="vanished"):
        writer.close()
    with pytest.warns(UserWarning, match="vanished"):
        assert steps(writer.path) == [0, 1, 2, 3]
    assert "vanished" in check(writer.path).problems[0]


def test_a_log_that_vanishes_before_the_close_is_written_again(tmp_path):
    writer = start(tmp_path / "run.h5")
    append(writer, 0)
    writer.flush()
    parts.log(writer.path, 1).unlink()
    with pytest.warns(UserWarning, match="vanished"):
        writer.close()
    with pytest.warns(UserWarning, match="vanished"):
        assert steps(writer.path) == [0]


@pytest.mark.filterwarnings("ignore:.*(vanished|another run)")
def test_a_file_in_a_log_s_place_is_left_out_and_told(tmp_path):
    writer, other = start(tmp_path / "run.h5"), start(tmp_path / "other.h5")
    for each in (writer, other):
        append(each, 0)
        each.flush()
    os.replace(parts.log(other.path, 1), parts.log(writer.path, 1))
    append(writer, 1)
    writer.flush()
    # a reader cannot know whose the first file is, and says that they differ
    assert any("belongs to another run" in problem for problem in Trajectory(writer.path).problems)
    writer.close()
    run = Trajectory(writer.path)
    assert any("belongs to another run" in problem for problem in run.problems)
    assert run.run_id == writer._journal.header.run_id
    assert run.table("losses")["step"].tolist() == [0, 1]
    other._lock.release()


def test_a_missing_session_is_told_for_ever(tmp_path):
    path = killed(tmp_path / "run.h5", range(2))
    killed(path, range(2, 4), resume=True)
    killed(path, range(4, 6), resume=True)
    parts.log(path, 2).unlink()
    with pytest.warns(UserWarning, match="lacks its parts 2 to 2; the rest was read"):
        assert steps(path) == [0, 1, 4, 5]
    (problem,) = recover(path)
    assert "lacks its parts 2 to 2" in problem
    with pytest.warns(UserWarning, match="lacks its parts 2 to 2"):
        assert Trajectory(path).status == "recovered"
    assert check(path).problems == (problem,)


def test_a_part_of_another_run_is_left_out(tmp_path):
    path = killed(tmp_path / "run.h5", range(2))
    other = killed(tmp_path / "other.h5", range(2))
    os.replace(parts.log(other, 1), parts.log(path, 2))
    with pytest.warns(UserWarning, match="belongs to another run"):
        assert steps(path) == [0, 1]
    (problem,) = recover(path)
    assert "belongs to another run" in problem
    assert check(path).problems[-1] == problem
    assert [f.name for f in parts.folder(path).iterdir()] == ["000002.log.unread"]


def refuse(monkeypatch, allow=0):
    """Make every sync of a file but the first `allow` fail."""
    calls = []

    def refused(descriptor):
        calls.append(descriptor)
        if len(calls) > allow:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("trajlab.store.log._sync", refused)
    monkeypatch.setattr(os, "fsync", refused)


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


def test_what_a_disk_took_of_a_refused_frame_is_cut_off(tmp_path, monkeypatch):
    writer = start(tmp_path / "run.h5")
    append(writer, 0)
    writer.flush()
    writer.shared = ["a name that takes place"] * 100
    with monkeypatch.context() as patch:
        refuse(patch)
        with pytest.raises(TrajlabError, match="No space left"):
            writer.flush()
    writer.shared = []
    append(writer, 1)
    writer.flush()
    content = parts.log(writer.path, 1).read_bytes()
    assert len(content) == frames.acknowledged(content[: frames.HEAD])
    writer.close()
    check_rows(writer.path, 2)


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
        with pytest.raises(TrajlabError, match="memory, which takes no more"):
            writer.append("losses", {"step": 9, "loss": [9, -9]})
        patch.undo()  # room again
    append(writer, 5)
    check_rows(writer.path, 6)  # and not what was refused
    writer.close()


def test_a_disk_that_refuses_again_is_warned_of_again(tmp_path, monkeypatch):
    monkeypatch.setattr("trajlab.store.writer.INTERVAL", 0.0)
    writer = start(tmp_path / "run.h5")
    for step in (0, 2):
        with monkeypatch.context() as patch:
            refuse(patch)
            with pytest.warns(UserWarning, match="No space left"):
                append(writer, step)
        append(writer, step + 1)  # a warning is an error
    writer.close()
    check_rows(writer.path, 4)


def test_a_sealed_file_that_reads_back_otherwise_is_not_published(tmp_path, monkeypatch):
    """A disk that says it has written, and has something else."""
    writer = start(tmp_path / "run.h5")
    append(writer, 0)
    writer.close("recording")
    before = writer.path.read_bytes()
    writer = start(writer.path, resume=True)
    append(writer, 1)
    write_whole = merge._write_whole
    for at in (100, len(before) // 2):

        def forgetful(file, content, at=at):
            write_whole(file, content)
            (byte,) = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([byte ^ 1]), at)

        with monkeypatch.context() as patch:
            patch.setattr(merge, "_write_whole", forgetful)
            with pytest.raises(TrajlabError, match="all rows are safe in"):
                writer.close()
        assert writer.path.read_bytes() == before
        assert steps(writer.path) == [0, 1]
    writer.close()
    assert steps(writer.path) == [0, 1]


def test_a_second_look_reads_on_where_the_first_has_ended(tmp_path):
    writer = start(tmp_path / "run.h5")
    append(writer, 0)
    writer.flush()
    first = take(writer.path)
    append(writer, 1)
    writer.flush()
    second = take(writer.path, first)
    assert take(writer.path, second) is second
    (reader,), (same,) = first.readers.values(), second.readers.values()
    assert reader is same
    assert View(second, "losses")["step"].tolist() == [0, 1]
    writer.close()


def test_a_reader_goes_on_with_files_that_a_merge_has_taken_away(tmp_path):
    writer = start(tmp_path / "run.h5")
    append(writer, 0)
    writer.flush()
    log = Trajectory(writer.path)
    writer.close("recording")
    sealed = Trajectory(writer.path)
    writer = start(writer.path, resume=True)
    append(writer, 1)
    writer.close()
    for reader in (log, sealed):
        assert reader.table("losses")["loss"].tolist() == [[0, 0]]
    assert steps(writer.path) == [0, 1]


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
from tests.runs import finish, run_python
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
    start(path, resume=True).close()
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]


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


def test_a_log_that_is_long_becomes_a_sealed_part(tmp_path, monkeypatch):
    monkeypatch.setattr("trajlab.store.journal.ROTATE_BYTES", 1)
    writer = start(tmp_path / "run.h5")
    writer.declare(Table("late", (Column("flag", dtype="bool"), Column("why", dtype="str"))))
    for step in range(7):
        append(writer, step)
        if step == 4:
            writer.append("late", {"step": 4, "why": "é"})
            writer.declare(Table("late", (Column("x", ("step", "task")),), {"task": TASKS}))
        writer.flush()
        check_rows(writer.path, step + 1)
    names = sorted(file.name for file in parts.folder(writer.path).iterdir())
    assert names == [f"{number:06}.h5" for number in range(1, 8)]
    assert Trajectory(writer.path).status == "recording"
    assert check(writer.path).problems == ()
    writer.close()
    check_rows(writer.path, 7)
    run = Trajectory(writer.path)
    assert run.status == "complete"
    assert run.table("late")["why"].tolist() == ["é"]
    assert np.isnan(run.table("late")["x"]).tolist() == [[True, True]]
    assert check(writer.path).problems == ()


def test_a_log_that_cannot_be_sealed_stays_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("trajlab.store.journal.ROTATE_BYTES", 1)
    writer = start(tmp_path / "run.h5")
    append(writer, 0)
    with monkeypatch.context() as patch:
        refuse(patch, allow=2)  # of the log and its folder
        with pytest.warns(UserWarning, match="could not be sealed yet: .*No space left"):
            writer.flush()
    append(writer, 1)
    writer.flush()
    names = sorted(file.name for file in parts.folder(writer.path).iterdir())
    assert names == ["000001.log", "000002.h5"]
    assert steps(writer.path) == [0, 1]
    writer.close()
    assert steps(writer.path) == [0, 1]


def test_many_sessions_that_were_cut_off_are_merged_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("trajlab.store.resume.MERGE_PARTS", 3)
    path = tmp_path / "run.h5"
    for session in range(8):
        killed(path, [session], resume=True)
        assert len(parts.numbers(path)) <= 3
        assert steps(path) == list(range(session + 1))


def test_small_portions_give_the_same_file(tmp_path, monkeypatch):
    """Portions of a row, superseded rows and columns that early frames lack."""
    found = []
    for portion in (2**20, 1):
        monkeypatch.setattr("trajlab.store.source.PORTION", portion)
        monkeypatch.setattr(View.portions, "__defaults__", (portion,))
        monkeypatch.setattr("trajlab.store.rows._TEXTS", portion)
        path = tmp_path / f"{portion}.h5"
        writer = start(path)
        for step in range(5):
            append(writer, step)
            if step % 2:
                writer.flush()
        writer.close("recording")
        writer = start(path, resume=True, from_step=2)
        append(writer, 2)
        writer.flush()
        writer.declare(Table("losses", (Column("why", dtype="str"),)))
        for step in (3, 4):
            writer.append("losses", {"step": step, "loss": [step, -step], "why": "ü" * step})
        writer.close()
        assert check(path).problems == ()
        run = Trajectory(path)
        found.append({(t, c): run.table(t)[c].tolist() for t in run.tables for c in run.table(t)})
        assert found[0]["losses", "why"] == ["", "", "", "üüü", "üüüü"]
    assert found[0] == found[1]


def test_a_disk_that_refuses_the_sealed_file_is_told_and_the_process_lives(tmp_path):
    """HDF5 would crash it at its end after a write that failed."""
    code = f"""
import resource, signal
from tests.runs import finish, run_python
from trajlab.errors import TrajlabError
from tests.store.test_durability import append, start
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = start({str(tmp_path / "run.h5")!r})
append(writer, 0)
writer.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.RLIM_INFINITY))
try:
    writer.close()
except TrajlabError as error:
    assert "all rows are safe" in str(error), error
else:
    raise SystemExit("nothing was refused")
"""
    run_python(code)
    assert steps(tmp_path / "run.h5") == [0]


def test_a_kill_between_the_sealed_file_and_the_removal_of_its_parts(tmp_path, monkeypatch):
    writer = start(tmp_path / "run.h5")
    append(writer, 0)
    with monkeypatch.context() as patch:
        patch.setattr(parts, "remove", lambda *_: None)
        writer.close()
    assert parts.numbers(writer.path) == [1]
    assert steps(writer.path) == [0]
    assert recover(writer.path) == ()
    assert Trajectory(writer.path).status == "complete"
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]


def test_without_posix_locks_one_sentence_says_where_it_runs():
    code = "import sys; sys.modules['fcntl'] = None; import trajlab; trajlab.load"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "TrajlabError: trajlab needs Linux or macOS" in done.stderr
