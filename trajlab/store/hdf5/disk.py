"""What HDF5 takes for a file: Python reads and writes in its place."""

import os
from typing import Any


class Disk:
    """An open file as HDF5 wants it: what is not there is zeros.

    Parameters
    ----------
    file
        Open, unbuffered.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as a file does."""
        self._at = offset + (self._end() if whence == os.SEEK_END else 0)
        return self._at

    def tell(self) -> int:
        """Return the position, as a file does."""
        return self._at

    def read(self, size: int) -> bytes:
        """Read, as a file does: h5py knows a file by this."""
        content = bytearray(size)
        self.readinto(content)
        return bytes(content)

    def readinto(self, buffer: Any) -> int:
        """Read, as a file does; behind its end are zeros."""
        view = memoryview(buffer).cast("B")
        self._file.seek(self._at)
        count = self._file.readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        self._at += len(view)
        return len(view)

    def flush(self) -> None:
        """Do nothing: nothing is buffered here."""

    def _end(self) -> int:
        return int(self._file.seek(0, os.SEEK_END))


class Longer(Disk):
    """A file that ends with zeros where it should go on: HDF5 opens none that was cut off.

    Parameters
    ----------
    file
        Open for reading, unbuffered.
    size
        The length that it is to have.
    """

    def __init__(self, file: Any, size: int) -> None:
        super().__init__(file)
        self._size = size

    def write(self, _: Any) -> int:
        """Refuse: nothing is ever written here."""
        raise OSError("open for reading")

    def truncate(self, _: int) -> None:
        """Do nothing."""

    def _end(self) -> int:
        return self._size


class Unrefusing(Disk):
    """A disk that never refuses.

    HDF5 crashes the process at its end after a write that failed, and a forked process that ends
    writes what it has inherited. So nothing is told to it: the first refusal is kept, and what
    comes from another process is dropped.

    Parameters
    ----------
    file
        Open for reading and writing, unbuffered.
    """

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self._pid = os.getpid()
        self.refusal: OSError | None = None

    def check(self) -> None:
        """Raise the first refusal, if there was one.

        Raises
        ------
        OSError
            What the disk said.
        """
        if self.refusal is not None:
            raise self.refusal

    def write(self, content: Any) -> int:
        """Write, as a file does that is never full."""
        view = memoryview(content).cast("B")
        self._tried(lambda: self._put(view))
        self._at += len(view)
        return len(view)

    def truncate(self, size: int) -> int:
        """Set the size, as a file does."""
        self._tried(lambda: self._file.truncate(size))
        return size

    def _put(self, view: memoryview) -> None:
        self._file.seek(self._at)
        done = 0
        while done < len(view):
            done += self._file.write(view[done:])

    def _tried(self, call: Any) -> None:
        if self.refusal is None and os.getpid() == self._pid:
            try:
                call()
            except OSError as error:
                self.refusal = error
