"""Files that are read: a few stay open, so that a merge takes nothing away from who looks."""

import os
import resource
import stat
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.store.rows import Array, Extent, crc32

_CHUNK = 4 * 2**20
OPEN = 128  # files at a time; a process may usually have 1,024
MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # bytes of this machine

Identity = tuple[int, ...]


class _Descriptor:
    """Closed when nobody holds it any more, even if another thread reads from it just now."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


_open: OrderedDict[int, _Descriptor] = OrderedDict()  # by the identity of the File
_mutex = threading.RLock()  # a File may be freed while it is held


class File:
    """One file, as it stood when this object was made.

    Parameters
    ----------
    path
        The file. What is not a plain file (a pipe, a device) is refused.
    grows
        Whether more may be appended to it.

    Raises
    ------
    OSError
        If it cannot be opened.
    TrajlabError
        If it is not a plain file.
    """

    def __init__(self, path: Path, *, grows: bool = False) -> None:
        self.path = path
        self._grows = grows
        descriptor = _opened(path)
        status = os.fstat(descriptor.number)
        self.size = status.st_size
        self.identity = self._identified(status)
        self._keep(descriptor)

    def __del__(self) -> None:
        with _mutex:
            _open.pop(id(self), None)

    def unchanged(self) -> bool:
        """Tell whether the name still stands for this file, and it is as it was or longer."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return False
        return self._identified(status) == self.identity

    def grown(self) -> int:
        """Return its size now."""
        self.size = os.fstat(self._held().number).st_size
        return self.size

    def read(self, offset: int, size: int) -> Array:
        """Read bytes (uint8).

        Raises
        ------
        TrajlabError
            If they are not there, or the file was replaced and is no longer held; if memory cannot
            hold them: of a file that is empty where it says nothing, any length is soon written.
        """
        if not 0 <= offset <= offset + size <= self.size:
            raise TrajlabError(f"{self.path} is damaged: it ends too early")
        require_memory(size, str(self.path))
        content = np.empty(size, np.uint8)
        descriptor = self._held()
        done = 0
        while done < size:
            count = os.preadv(descriptor.number, [content[done:].data], offset + done)
            if count == 0:
                raise TrajlabError(f"{self.path} was cut off while it was read")
            done += count
        return content

    def checksum(self, offset: int, size: int, crc: int = 0) -> int:
        """Return the CRC-32 of bytes, read some at a time, going on from `crc`.

        Raises
        ------
        TrajlabError
            As `read`.
        """
        for first in range(offset, offset + size, _CHUNK):
            content = self.read(first, min(_CHUNK, offset + size - first))
            crc = crc32(content.data, crc)
        return crc

    def verified(self, extent: Extent, what: str) -> Array:
        """Read an extent and compare its checksum.

        Raises
        ------
        TrajlabError
            If it is damaged.
        """
        content = self.read(extent.offset, extent.size)
        self.compare(crc32(content.data), extent, what)
        return content

    def compare(self, crc: int, extent: Extent, what: str) -> None:
        """Compare a checksum with that of an extent.

        Raises
        ------
        TrajlabError
            If they differ.
        """
        if crc != extent.crc:
            raise TrajlabError(
                f"{self.path} is damaged: the checksum of {what} does not match; restore it from "
                f"a copy"
            )

    def _identified(self, status: os.stat_result) -> Identity:
        which = (status.st_dev, status.st_ino)
        return which if self._grows else (*which, status.st_size, status.st_mtime_ns)

    def _held(self) -> _Descriptor:
        with _mutex:
            if id(self) in _open:
                _open.move_to_end(id(self))
                return _open[id(self)]
        try:
            descriptor = _opened(self.path)
        except FileNotFoundError:
            descriptor = None
        if descriptor is None or self._identified(os.fstat(descriptor.number)) != self.identity:
            raise TrajlabError(f"{self.path} was rewritten since it was opened; load it again")
        self._keep(descriptor)
        return descriptor

    def _keep(self, descriptor: _Descriptor) -> None:
        with _mutex:
            _open[id(self)] = descriptor
            while len(_open) > _most():
                _open.popitem(last=False)


def require_memory(size: int, what: str) -> None:
    """Refuse what would end the process, or others, for want of memory.

    Raises
    ------
    TrajlabError
        If `what` has more bytes than half of the machine's memory.
    """
    if size > MEMORY // 2:
        raise TrajlabError(
            f"{what} holds {size / 2**30:.1f} GiB to be read at once, over half of this machine's "
            f"memory; read it in portions, or on a larger machine"
        )


def _most() -> int:
    """Return how many files stay open: a quarter of what the process may have, at most `OPEN`."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN if limit < 0 else min(OPEN, limit // 4)


def _opened(path: Path) -> _Descriptor:
    # a pipe without a writer would be waited for
    descriptor = _Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    mode = os.fstat(descriptor.number).st_mode
    if not stat.S_ISREG(mode):
        raise TrajlabError(f"{path} cannot be read: it is not a plain file")
    return descriptor
