"""One writer a run: an advisory lock that dies with its process.

A lock of an open file (``F_OFD_SETLK``) where there is such: it is not dropped when the process
closes another descriptor of the lock file, as a copy of the folder does, and keeps out another
thread as well. A forked worker would inherit it and block a resume, so its copy is closed there.
Elsewhere ``fcntl.lockf``. The file is removed by who holds its lock; who waited for one that was
removed looks again.
"""

import errno
import json
import os
import socket
import struct
import threading
import weakref
from datetime import UTC, datetime
from pathlib import Path

from trajlab.errors import TrajlabError

try:
    import fcntl
except ImportError:
    raise TrajlabError(
        "trajlab needs Linux or macOS, for it locks and syncs files as POSIX does; on Windows, "
        "use it in WSL"
    ) from None

_TAKEN = (errno.EAGAIN, errno.EACCES)
_mutex = threading.Lock()
_held: "weakref.WeakValueDictionary[Path, Lock]" = weakref.WeakValueDictionary()


class Lock:
    """Hold the lock of the run at `path` until `release`.

    Raises
    ------
    OSError
        If its file cannot be made.
    TrajlabError
        If another writer holds it; the sentence names its process and host. If the file system
        has no locks.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.with_name(path.name + ".lock")
        self._pid = os.getpid()
        with _mutex:
            other = _held.get(path.resolve())
            if other is not None and other._pid == self._pid:
                raise TrajlabError(
                    f"{path} is already being recorded by this process; close it first"
                )
            self._descriptor = self._taken()
            _held[path.resolve()] = self
        owner = json.dumps(
            {
                "pid": self._pid,
                "host": socket.gethostname(),
                "start": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        os.truncate(self._descriptor, 0)
        os.pwrite(self._descriptor, owner.encode(), 0)

    def release(self) -> None:
        """Give the lock back, and remove its file."""
        with _mutex:
            if self._descriptor < 0:
                return
            _held.pop(self._path.resolve(), None)
            try:
                if self._is(self._descriptor):
                    os.unlink(self._file)
            except OSError:  # it locks nothing any more, and says so to the next writer
                pass
            finally:
                self._close()

    def _taken(self) -> int:
        while True:
            how = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW  # a link may be anybody's
            descriptor = os.open(self._file, how, 0o644)
            try:
                _lock(descriptor)
                if self._is(descriptor):
                    return descriptor
            except OSError as error:
                owner = os.pread(descriptor, 1000, 0).decode(errors="replace")
                os.close(descriptor)
                raise self._refusal(error, owner) from None
            os.close(descriptor)  # who held it has removed it meanwhile

    def _refusal(self, error: OSError, owner: str) -> TrajlabError:
        if error.errno in _TAKEN:
            return TrajlabError(
                f"{self._path} is being recorded by another process {owner or '(unknown)'}; "
                f"wait for it, or end it"
            )
        return TrajlabError(
            f"{self._file} cannot be locked ({error.strerror}); record to a file system that has "
            f"locks"
        )

    def _is(self, descriptor: int) -> bool:
        """Tell whether the lock file is still the one that is open."""
        try:
            return os.path.samestat(os.stat(self._file), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self._close()


def _lock(descriptor: int) -> None:
    """Lock a file without waiting.

    Raises
    ------
    OSError
        If somebody else holds it, or there are no such locks.
    """
    command = getattr(fcntl, "F_OFD_SETLK", None)
    if command is not None:
        try:
            # struct flock: type, whence, start, length (0: all), pid
            fcntl.fcntl(descriptor, command, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
            return
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _forget() -> None:
    """Close what a forked process has inherited."""
    global _mutex
    _mutex = threading.Lock()
    for lock in list(_held.values()):
        lock._close()
    _held.clear()


os.register_at_fork(after_in_child=_forget)
