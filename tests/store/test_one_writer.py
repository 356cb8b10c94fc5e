"""Locks, threads, working folders, and values that cannot be written."""

import errno
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest

from trajlab.errors import TrajlabError
from trajlab.store import Column, Table, Trajectory, Writer, standard
from trajlab.store.lock import Lock


def start(path, **options):
    writer = Writer(path, ["a"], **options)
    writer.declare(standard("losses", task=["a"]))
    return writer


def test_a_lock_survives_a_copy_of_its_folder(tmp_path):
    writer = start(tmp_path / "runs" / "run.h5")
    writer.flush()
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    code = f"from trajlab.store import Writer; Writer({str(writer.path)!r}, ['a'], resume=True)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "is being recorded by another process" in other.stderr
    writer.close()
    assert [file.name for file in (tmp_path / "runs").iterdir()] == ["run.h5"]


def test_of_threads_that_open_one_path_one_writes(tmp_path):
    for i in range(50):
        barrier, got = threading.Barrier(4), []

        def begin(i=i, barrier=barrier, got=got):
            barrier.wait()
            try:
                got.append(start(tmp_path / f"{i}.h5"))
            except TrajlabError as error:
                assert "already being recorded" in str(error)  # noqa: PT017

        threads = [threading.Thread(target=begin) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        got[0].close()


def test_threads_that_share_a_writer_lose_nothing(tmp_path):
    writer = start(tmp_path / "run.h5")
    writer.declare(standard("evaluations/test", task=["a"]))

    def record(name):
        for step in range(600):
            writer.append(name, {"step": step, "loss": [1.0]})
            if step % 20 == 0:
                writer.flush()

    threads = [threading.Thread(target=record, args=(n,)) for n in ("losses", "evaluations/test")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    for name in ("losses", "evaluations/test"):
        assert Trajectory(writer.path).table(name)["step"].tolist() == list(range(600))


def test_a_second_writer_that_came_in_is_told_and_keeps_its_log(tmp_path, monkeypatch):
    """Where locks do not hold: nobody takes away what the other has acknowledged."""
    monkeypatch.setattr("trajlab.store.lock._lock", lambda _: None)
    monkeypatch.setattr("trajlab.store.lock._held", {})
    first = start(tmp_path / "run.h5")
    first.append("losses", {"step": 0, "loss": [1.0]})
    first.flush()
    monkeypatch.setattr("trajlab.store.lock._held", {})
    second = start(tmp_path / "run.h5", resume=True)
    second.append("losses", {"step": 1, "loss": [2.0]})
    second.flush()
    with pytest.warns(UserWarning, match="another process records .* too"):
        first.close()
    second.append("losses", {"step": 2, "loss": [3.0]})
    second.close()
    assert Trajectory(first.path).table("losses")["loss"].ravel().tolist() == [1, 2, 3]


def refusing(code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    return refuse


def taking(*_):
    """Lock a file, as it is told."""


LOCKS = r"run.h5.lock cannot be locked \(No locks available\)"


@pytest.mark.parametrize(
    ("ours", "other", "refusal"),
    [
        (refusing(errno.ENOLCK), refusing(errno.ENOLCK), LOCKS),
        (refusing(errno.ENOLCK), taking, LOCKS),  # a lock of another kind would hold nobody off
        (refusing(errno.EAGAIN), taking, "is being recorded by another process"),
        # a kernel that does not know locks of open files has the other kind
        (refusing(errno.EINVAL), refusing(errno.ENOLCK), LOCKS),
        (refusing(errno.EINVAL), refusing(errno.EACCES), "is being recorded by another process"),
        (refusing(errno.EINVAL), taking, None),
    ],
)
def test_a_file_system_without_locks_is_told_as_that(tmp_path, monkeypatch, ours, other, refusal):
    monkeypatch.setattr(fcntl, "F_OFD_SETLK", 37, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", ours)
    monkeypatch.setattr(fcntl, "lockf", other)
    if refusal is None:
        start(tmp_path / "run.h5").close()
        return
    with pytest.raises(TrajlabError, match=refusal):
        start(tmp_path / "run.h5")


@pytest.mark.skipif(not hasattr(fcntl, "F_OFD_GETLK"), reason="locks of open files are of Linux")
def test_a_lock_is_of_the_open_file_and_of_all_of_it(tmp_path):
    lock = Lock(tmp_path / "run.h5")
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with (tmp_path / "run.h5.lock").open() as file:
        told = fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked)
        kind, whence, start, length, owner = struct.unpack("hhqqi4x", told)
        assert (kind, whence, start, length) == (fcntl.F_WRLCK, os.SEEK_SET, 0, 0)
        assert owner == -1  # no process: it is not dropped with another descriptor
        lock.release()
        told = fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked)
        assert struct.unpack("hhqqi4x", told)[0] == fcntl.F_UNLCK


def test_without_standard_input_a_lock_is_given_back_too(tmp_path):
    """Its file is then the first that the process opens, with the number 0."""
    kept = os.dup(0)
    os.close(0)
    try:
        lock = Lock(tmp_path / "run.h5")
        assert os.path.samestat(os.fstat(0), os.stat(tmp_path / "run.h5.lock"))
        lock.release()
        assert not (tmp_path / "run.h5.lock").exists()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_a_change_of_the_working_folder_changes_nothing(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    writer = start("run.h5")
    writer.append("losses", {"step": 0, "loss": [1.0]})
    monkeypatch.chdir(tmp_path / "elsewhere")
    writer.close()
    assert Trajectory(tmp_path / "run.h5").table("losses")["step"].tolist() == [0]


COLUMNS = Table(
    "t",
    (
        *(Column(kind, dtype=kind) for kind in ("int64", "int32", "uint8", "uint16", "float32")),
        *(Column(f"{kind}s", ("step", "x"), kind) for kind in ("int32", "uint8", "float32")),
        *(Column(kind, dtype=kind) for kind in ("float64", "bool")),
        *(Column(f"{kind}s", ("step", "x"), kind) for kind in ("float64", "bool")),
    ),
    {"x": [0, 1]},
)


@pytest.mark.parametrize(
    ("column", "held", "refused"),
    [
        ("step", 2**63 - 1, 2**63),
        ("step", 0, -1),
        ("int64", 2**63 - 1, 2**63),
        ("int32", -(2**31), -(2**31) - 1),
        ("uint8", 255, 256),
        ("uint16", 0, -1),
        ("float32", 3e38, 4e38),
        ("int32s", [2**31 - 1, 0], [0, 2**31]),
        ("int32s", [1, 1], [1, 1.5]),
        ("uint8s", [0, 0], [0, -1]),
        ("float32s", [3e38, 1], [1, 4e38]),
        ("float32s", [np.inf, 1], [np.inf, 1e300]),
        ("float64", np.float32(0.5), "0.5"),
        ("float64", 1, 1 + 2j),
        ("float64s", [1, 1], [1, 1 + 2j]),
        ("float64s", [None, 1], ["1", "1"]),
        ("float64s", [None, 1], [None, "1"]),
        ("float32s", [None, 1], [None, b"1"]),
        ("bools", [True, False], [True, "1"]),
        ("float64s", [np.nan, 1], [np.datetime64("2020-01-01")] * 2),
        ("bool", np.True_, 0.5),
        ("bool", 0, "False"),
        ("bools", [1, 0], [1, 2]),
        ("bools", [False, True], [False, np.nan]),
    ],
)
def test_what_is_taken_can_be_written(tmp_path, column, held, refused):
    writer = Writer(tmp_path / "run.h5", ["a"])
    writer.declare(COLUMNS)
    with pytest.raises(TrajlabError, match="cannot hold"):
        writer.append("t", {"step": 1, column: refused})
    writer.append("t", {"step": 1, column: held})
    writer.close()
    values = Trajectory(writer.path).table("t")[column]
    np.testing.assert_array_equal(values, np.array([held], values.dtype))


def test_a_value_that_cannot_be_looked_at_is_refused_as_others_are(tmp_path):
    class Broken:
        def __repr__(self):
            raise RuntimeError

        __float__ = __array__ = __repr__

    writer = start(tmp_path / "run.h5")
    for row in ({"learning_rate": Broken()}, {"loss": Broken()}):
        with pytest.raises(TrajlabError, match="cannot hold a Broken"):
            writer.append("losses", {"step": 0, **row})
    writer.close()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("gold")
    (tmp_path / "run.h5.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(TrajlabError, match=r"run\.h5 cannot be written \(Too many levels of sym"):
        start(tmp_path / "run.h5")
    assert (tmp_path / "precious").read_text() == "gold"


def test_a_name_that_no_file_can_have_is_one_sentence(tmp_path):
    with pytest.raises(TrajlabError, match=r"cannot be a file's name \(File name too long\)"):
        start(tmp_path / ("x" * 300 + ".h5"))


def test_long_lists_and_many_names_can_be_written(tmp_path):
    """HDF5 takes no attribute of more than 64 KiB."""
    shared = [f"layer.{i}.weight" for i in range(5000)]
    writer = start(tmp_path / "run.h5", shared=shared, metadata={"x": "y" * 100_000})
    writer.set_attributes("losses", {"ids": list(range(10_000))})
    writer.close()
    run = Trajectory(writer.path)
    assert run.shared == shared
    assert run.table("losses").attributes["ids"] == list(range(10_000))


def test_nan_and_lists_in_metadata_survive_a_resume(tmp_path):
    facts = {"nan": float("nan"), "list": [1, {"a": None}], "tuple": (1, 2)}
    start(tmp_path / "run.h5", metadata=facts).close()
    start(tmp_path / "run.h5", metadata=facts, resume=True).close()
    found = Trajectory(tmp_path / "run.h5").metadata
    assert np.isnan(found.pop("nan"))
    assert found == {"list": [1, {"a": None}], "tuple": [1, 2]}
