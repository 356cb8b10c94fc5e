"""One writer a run: an advisory lock that dies with its process.

``fcntl.lockf``, not ``flock``: forked workers inherit the latter and would block a resume. Such a
lock is dropped when *any* descriptor of its file is closed in the process, so a run that this
process already records is refused before the file is touched.
"""

import json
import os
import socket
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

_held: dict[Path, int] = {}


class Lock:
    """Hold the lock of the run at `path` until `release`.

    Raises
    ------
    TrajlabError
        If another writer holds it; the sentence names its process and host.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        if _held.get(self._path) == os.getpid():
            raise TrajlabError(f"{path} is already being recorded by this process; close it first")
        file = path.with_name(path.name + ".lock")
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(self._descriptor, 1000).decode(errors="replace")
            os.close(self._descriptor)
            raise TrajlabError(
                f"{path} is being recorded by another process {owner or '(unknown)'}; "
                f"wait for it, or end it"
            ) from None
        owner = json.dumps(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "start": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        os.truncate(self._descriptor, 0)
        os.pwrite(self._descriptor, owner.encode(), 0)
        _held[self._path] = os.getpid()

    def release(self) -> None:
        """Give the lock back; its file stays, for deleting it would let two writers in."""
        del _held[self._path]
        os.close(self._descriptor)
