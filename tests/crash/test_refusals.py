"""Disks that refuse: nothing is lost once they give in; if they never do, the exit code says so."""

import errno
import os
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.disk import Record
from tests.crash.trainer import TASKS, append, read
from trajlab.errors import TrajlabError
from trajlab.store import Writer, parts, standard

STEPS = 4


def begin(path):
    writer = Writer(path, TASKS, resume=True)
    for name in ("losses", "evaluations/test"):
        writer.declare(standard(name, task=TASKS))
    return writer


def tried(call, attempts=3):
    """Call until the disk gives in."""
    for _ in range(attempts):
        try:
            return call()
        except TrajlabError as error:
            assert "cannot be written" in str(error)  # noqa: PT017 - the last one is raised
            last = error
    raise last


def record(path):
    """Record a run in two sessions, trying again what is refused."""
    for first in (0, STEPS // 2):
        writer = tried(lambda: begin(path))
        for step in range(first, first + STEPS // 2):
            append(writer, 0, step)
            tried(writer.flush)
        tried(writer.close)


@pytest.mark.filterwarnings("ignore:.* could not be sealed yet")
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_every_file_operation_failing_once_loses_no_row(tmp_path, monkeypatch, error):
    monkeypatch.setattr("trajlab.store.journal.ROTATE_BYTES", 5000)
    failed: Counter[str] = Counter()
    for k in range(10_000):
        root = tmp_path / str(k)
        root.mkdir()
        with monkeypatch.context() as patch:
            watch = Record(patch, root)
            count = 0

            def refuse(operation, k=k):
                nonlocal count
                count += 1
                if count == k + 1:
                    failed[operation.kind] += 1
                    raise OSError(error, os.strerror(error), str(operation.path))

            watch.before = refuse
            record(root / "run.h5")
        assert len(read(root / "run.h5").losses) == STEPS
        assert parts.numbers(root / "run.h5") == []
        if count <= k:
            break
    assert set(failed) == {
        *("create", "write", "truncate", "sync", "move", "drop", "mkdir", "rmdir")
    }
    print(f"{sum(failed.values())} operations failed in turn: {dict(failed)}")


def run(code, path, **options):
    """Run a training script; what it prints is for the test."""
    head = """
        import os, resource, sys, warnings
        from pathlib import Path
        import trajlab.store.writer
        from tests.crash.test_refusals import begin
        from tests.crash.trainer import append
        path = Path(sys.argv[1])
        trajlab.store.writer.INTERVAL = 0.0
        writer = begin(path)
        writer.flush()
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code), str(path)],
        capture_output=True,
        text=True,
        **options,
    )


TRAIN = """
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for step in range(40):
        append(writer, 0, step)
assert len(told) == 1, [str(t.message) for t in told]
print(told[0].message)
"""


def test_a_file_size_limit(tmp_path):
    refuse = "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))\n"
    grant = "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
    done = run(refuse + TRAIN + grant + "writer.close()", tmp_path / "run.h5")
    assert done.returncode == 0, done.stderr
    assert "cannot be written (File too large); its rows are kept in memory" in done.stdout
    assert len(read(tmp_path / "run.h5").losses) == 40
    done = run(refuse + TRAIN + "writer.close()", tmp_path / "never.h5")
    assert done.returncode == 1
    assert "never.h5 cannot be written (File too large)" in done.stderr


def test_a_full_disk(tmp_path):
    """On a file system of 256 KiB in memory, mounted where nobody else sees it."""
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("mounting is not allowed here; the file-size limit stands for it")
    fill = """
        with open(path.with_name("full"), "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 1024): pass
            except OSError: pass
    """
    free = 'path.with_name("full").unlink()\n'
    code = textwrap.dedent(fill) + TRAIN + free + "writer.close()\n"
    code += "from tests.crash.trainer import read\nassert len(read(path).losses) == 40\n"
    script = f"""
import subprocess, sys
from pathlib import Path
from tests.crash.test_refusals import run
place = {str(tmp_path)!r}
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", place], check=True)
done = run({code!r}, Path(place, "run.h5"))
print(done.stdout, done.stderr)
sys.exit(done.returncode)
"""
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No space left on device" in done.stdout


def test_permission_lost_and_returned():
    """As a user whom permissions bind; root hands its rights in first.

    What is open stays open: rows are written on, and only sealing has to wait.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o777)
        code = """
            from trajlab.errors import TrajlabError
            held = path.parent / "run.h5.parts"
            if os.getuid() == 0:
                for file in [path.parent, held, *held.iterdir(), path.parent / "run.h5.lock"]:
                    os.chown(file, 65534, 65534)
                os.setuid(65534)
            for folder in (held, path.parent):
                folder.chmod(0o500)
            for step in range(40):
                append(writer, 0, step)
            try:
                writer.close()
            except TrajlabError as error:
                print(error)
            for folder in (path.parent, held):
                folder.chmod(0o700)
            writer.close()
        """
        done = run(code, place / "run.h5")
        assert done.returncode == 0, done.stderr
        assert "cannot be written (Permission denied); all rows are safe in" in done.stdout
        assert len(read(place / "run.h5").losses) == 40
