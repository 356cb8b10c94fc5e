"""Another process that reads HDF5 files, so that what crashes or never ends does so there."""

import atexit
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError

WAIT = 60.0  # seconds until an answer, of which the process works but a few


class _Process:
    """One such process; it ends with the one that began it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._mutex = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, path: Path, lenient: bool) -> dict[str, Any]:
        with self._mutex:
            if self._process is None:
                self._process = _begun()
                self._line(time.monotonic() + WAIT)
            request = json.dumps({"path": str(path), "lenient": lenient}) + "\n"
            try:
                self._pipe("stdin").write(request.encode())
                line = self._line(time.monotonic() + WAIT)
            except BrokenPipeError:
                line = b""
            if line is None or not line:
                raise TrajlabError(self._ended(late=line is None))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise TrajlabError(answer["error"])
        return answer

    def _line(self, deadline: float) -> bytes | None:
        """Return the next line, b"" if the process has ended, None if it takes too long."""
        pipe = self._pipe("stdout")
        content = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while not content.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                piece = os.read(pipe.fileno(), 2**20)
                if not piece:
                    return b""
                content += piece
        return bytes(content)

    def end(self) -> int:
        """End the process, and return how it ended."""
        if self._process is None or self.pid != os.getpid():
            return 0
        code = self._process.poll()
        if code is None:
            self._process.kill()
            code = self._process.wait()
        for name in ("stdin", "stdout"):
            self._pipe(name).close()
        self._process = None
        return code

    def _ended(self, *, late: bool) -> str:
        code = self.end()
        if late or code == -signal.SIGXCPU:
            return "HDF5 reads it for ever"
        return f"HDF5 crashed on it: {signal.strsignal(-code) if code < 0 else 'out of memory'}"

    def _pipe(self, name: str) -> Any:
        return getattr(self._process, name)


def _begun() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "trajlab.store.hdf5"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )


_process = _Process()
atexit.register(lambda: _process.end())


def found(path: Path, *, lenient: bool = False) -> dict[str, Any]:
    """Return what `trajlab.store.hdf5.index.index` finds in a file.

    Raises
    ------
    TrajlabError
        If HDF5 cannot read it, crashes on it, or takes too long.
    """
    global _process
    if _process.pid != os.getpid():  # a forked process's copy
        _process = _Process()
    return _process.ask(path.absolute(), lenient)
