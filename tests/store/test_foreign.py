"""What lies among the files of a run and is not its own: links, other runs, what a kill left."""

import os
import shutil

import pytest

from tests.runs import write
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer, frames, load, parts, standard
from trajlab.store.check import check
from trajlab.store.merge import recover

TABLE = standard("losses", task=["a"]).only("loss")


def record(path, steps=2, *, close=True):
    flushes = ({"losses": {"step": step, "loss": [0.5]}} for step in range(steps))
    return write(path, ["a"], [TABLE], flushes, close=close)


def steps(path):
    return Trajectory(path).table("losses")["step"].tolist()


def test_a_loop_of_links_is_one_sentence_and_hides_no_other_run(tmp_path):
    record(tmp_path / "run.h5")
    os.symlink("loop.h5", tmp_path / "loop.h5")
    runs = load(tmp_path)
    assert [run.path.name for run in runs] == ["run.h5"]
    ((_, reason),) = runs.skipped
    assert "levels of symbolic links" in reason
    with pytest.raises(TrajlabError, match="does not exist"):
        check(tmp_path / "loop.h5")


@pytest.mark.filterwarnings("ignore:.*another run")
def test_nothing_is_removed_through_a_link_in_place_of_the_parts(tmp_path):
    path, other = record(tmp_path / "run.h5"), record(tmp_path / "other.h5", close=False)
    os.symlink(parts.folder(other), parts.folder(path))
    before = sorted(os.listdir(parts.folder(other)))
    with pytest.raises(TrajlabError, match=r"run\.h5\.parts is a link"):
        Writer(path, ["a"], resume=True)
    with pytest.raises(TrajlabError, match=r"run\.h5\.parts is a link"):
        recover(path)
    assert sorted(os.listdir(parts.folder(other))) == before
    assert steps(path) == steps(other) == [0, 1]


@pytest.mark.filterwarnings("ignore:.*another run")
@pytest.mark.parametrize("sealed_again", [recover, lambda p: Writer(p, ["a"], resume=True).close()])
def test_a_log_of_another_run_behind_a_sealed_file_is_told_and_kept(tmp_path, sealed_again):
    """A finished run is copied over one that was killed, whose log is not in it."""
    killed, finished = record(tmp_path / "run.h5", 5, close=False), record(tmp_path / "done.h5")
    content = parts.log(killed, 1).read_bytes()
    shutil.copy(finished, killed)
    with pytest.warns(UserWarning, match="another run"):
        assert steps(killed) == [0, 1]
    assert any("another run" in problem for problem in check(killed).problems)
    sealed_again(killed)
    (kept,) = parts.set_aside(killed)
    assert kept.read_bytes() == content
    assert any("another run" in problem for problem in Trajectory(killed).problems)


def test_what_a_kill_left_of_a_merge_is_no_problem(tmp_path):
    path = record(tmp_path / "run.h5", close=False)
    log = parts.log(path, 1)
    content = log.read_bytes()
    recover(path)
    parts.folder(path).mkdir()
    log.write_bytes(content)  # its removal came too late
    assert check(path).problems == ()
    recover(path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]


def test_frames_of_another_run_in_a_log_are_damage(tmp_path):
    path, other = (record(tmp_path / f"{n}.h5", 1, close=False) for n in ("run", "other"))
    own, foreign = (parts.log(each, 1).read_bytes()[frames.HEAD :] for each in (path, other))
    size = frames.HEAD + len(own) + len(foreign)
    head = frames.MAGIC + frames.slot(0) + frames.slot(size)
    parts.log(path, 1).write_bytes(head + own + foreign)
    with pytest.warns(UserWarning, match=f"its bytes {size - len(foreign)} to {size} do not"):
        assert Trajectory(path).run_id != Trajectory(other).run_id


@pytest.mark.parametrize("sealed", [recover, lambda p: Writer(p, ["a"], resume=True).close()])
def test_a_temporary_file_that_a_kill_left_goes_with_the_next_seal(tmp_path, sealed):
    path = record(tmp_path / "run.h5", close=False)
    (tmp_path / "run.h5.tmp").write_bytes(b"half")
    (parts.folder(path) / "000001.h5.tmp").write_bytes(b"half")
    assert steps(path) == [0, 1]
    sealed(path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]
    assert steps(path) == [0, 1]
